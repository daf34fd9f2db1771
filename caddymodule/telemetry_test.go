package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/intilery/caddy-intilery/cookie"
)

// identifyingApp identifies its visitor on each document.
func identifyingApp(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/style.css" {
		w.Header().Set("Content-Type", "text/css")
		return
	}
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Intilery-User-Id", "user-42")
	fmt.Fprint(w, "hello")
}

// asStyle makes a request one for a style sheet.
func asStyle(r *http.Request) {
	r.Header.Set("Sec-Fetch-Dest", "style")
	r.Header.Set("Sec-Fetch-Mode", "no-cors")
}

// anonymousID is that of the client's readable cookie.
func (r *rig) anonymousID() string {
	return strings.ReplaceAll(r.cookies()["ajs_anonymous_id"], "%22", "")
}

func TestAccessLog(t *testing.T) {
	for _, tt := range []struct {
		name, option string
		ids          bool
	}{{"without IDs", "", false}, {"with log_ids", "log_ids", true}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			file := filepath.Join(r.dir, "access.log")
			r.serve(fmt.Sprintf("log {\noutput file %q\nformat json\n}\nintilery {\n%s\n}\nreverse_proxy %s",
				file, tt.option, newServer(t, http.HandlerFunc(identifyingApp))))
			r.get("/page")
			r.get("/style.css", asStyle)
			id := r.anonymousID()
			r.stop()

			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]map[string]any) // our fields by path
			for line := range strings.Lines(string(text)) {
				var entry map[string]any
				if err := json.Unmarshal([]byte(line), &entry); err != nil {
					t.Fatal(err)
				}
				ours := make(map[string]any)
				for name, value := range entry {
					if strings.HasPrefix(name, "intilery") {
						ours[name] = value
					}
				}
				got[entry["request"].(map[string]any)["uri"].(string)] = ours
			}
			page := map[string]any{"intilery_identity": "minted", "intilery_events": float64(2)}
			if tt.ids {
				page["intilery_anonymous_id"], page["intilery_user_id"] = id, "user-42"
			}
			if diff := cmp.Diff(map[string]map[string]any{"/page": page, "/style.css": {}}, got); diff != "" {
				t.Errorf("fields: %s", diff)
			}
			if !tt.ids && (strings.Contains(string(text), id) || strings.Contains(string(text), "user-42")) {
				t.Errorf("the access log holds an ID:\n%s", text)
			}
		})
	}
}

// spans keeps what Caddy's tracing exports.
type spans struct {
	mu    sync.Mutex
	ended []sdktrace.ReadOnlySpan
}

var exported spans

func init() {
	autoexport.RegisterSpanExporter("intilery_test", func(context.Context) (sdktrace.SpanExporter, error) { return &exported, nil })
}

func (s *spans) ExportSpans(_ context.Context, ended []sdktrace.ReadOnlySpan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, ended...)
	return nil
}

func (s *spans) Shutdown(context.Context) error { return nil }

func TestSpanAttributes(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "intilery_test")
	for _, tt := range []struct {
		name, option string
		ids          bool
	}{{"without IDs", "", false}, {"with log_ids", "log_ids", true}} {
		t.Run(tt.name, func(t *testing.T) {
			exported.ended = nil
			r := newRig(t)
			r.serve(fmt.Sprintf("tracing\nintilery {\n%s\n}\nreverse_proxy %s", tt.option, newServer(t, http.HandlerFunc(identifyingApp))))
			r.get("/page")
			r.get("/style.css", asStyle)
			id := r.anonymousID()
			r.stop() // which exports

			want := []attribute.KeyValue{attribute.String("intilery.identity", "minted"), attribute.Int("intilery.events", 2)}
			if tt.ids {
				want = append(want, attribute.String("intilery.anonymous_id", id), attribute.String("intilery.user_id", "user-42"))
			}
			var got [][]attribute.KeyValue
			for _, span := range exported.ended {
				var ours []attribute.KeyValue
				for _, a := range span.Attributes() {
					if strings.HasPrefix(string(a.Key), "intilery") {
						ours = append(ours, a)
					}
					if !tt.ids && (strings.Contains(a.Value.String(), id) || strings.Contains(a.Value.String(), "user-42")) {
						t.Errorf("attribute %s holds an ID", a.Key)
					}
				}
				got = append(got, ours)
			}
			if !reflect.DeepEqual(got, [][]attribute.KeyValue{want, nil}) {
				t.Errorf("attributes %v, want %v and those of an asset, none", got, want)
			}
		})
	}
}

// Where nobody reads them, fields and attributes cost nothing.
func TestReportCostsNothingUnread(t *testing.T) {
	for _, tt := range []struct {
		name   string
		server *caddyhttp.Server
		free   bool
	}{
		{"no access log", &caddyhttp.Server{}, true},
		{"no server", nil, true},
		{"an access log", &caddyhttp.Server{Logs: new(caddyhttp.ServerLogConfig)}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			extra := new(caddyhttp.ExtraLogFields)
			ctx := context.WithValue(t.Context(), caddyhttp.ExtraLogFieldsCtxKey, extra)
			if tt.server != nil {
				ctx = context.WithValue(ctx, caddyhttp.ServerCtxKey, tt.server)
			}
			x := &exchange{h: &Handler{LogIDs: true}, r: httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil),
				id: cookie.Identity{AnonymousID: "a", Reason: cookie.Minted}}
			if allocations := testing.AllocsPerRun(100, x.report); tt.free && allocations > 0 {
				t.Errorf("%v allocations", allocations)
			}
			if none := reflect.DeepEqual(extra, new(caddyhttp.ExtraLogFields)); none != tt.free {
				t.Errorf("fields are there: %v, want %v", !none, !tt.free)
			}
		})
	}
}
