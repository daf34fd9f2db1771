package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/internal/faketime"
)

func TestFaultAnswers(t *testing.T) {
	s := newTest(t, testAccount)
	for _, tc := range []struct {
		fault      Fault
		status     int
		retryAfter string
	}{
		{Fault429, 429, "2"},
		{Fault503, 503, ""},
		{Fault403, 403, ""},
		{FaultNone, 200, ""},
		{Fault503, 503, ""},
		{"unheard of", 200, ""},
	} {
		s.SetFault(tc.fault)
		before := len(s.Events())
		a := send(t, s, "track", aTrack)
		if a.status != tc.status || a.header.Get("Retry-After") != tc.retryAfter || a.Success != (tc.status == 200) {
			t.Errorf("%s: %d, Retry-After %q, %s", tc.fault, a.status, a.header.Get("Retry-After"), a.body)
		}
		if stored := len(s.Events()) > before; stored != (tc.status == 200) {
			t.Errorf("%s: stored %t", tc.fault, stored)
		}
	}
	if got := s.Stats().Rejected; len(got) != 3 || got[2].Answer != "503" || got[2].Count != 2 {
		t.Errorf("rejected %+v", got)
	}
}

func TestFaultSpareThePage(t *testing.T) {
	s := newTest(t, testAccount)
	s.SetFault(Fault503)
	for _, path := range []string{"/", "/faults", "/api/stats", "/static/app.js"} {
		if a := do(t, s, request(http.MethodGet, path, nil)); a.status != http.StatusOK {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestFaultAPI(t *testing.T) {
	s := newTest(t, testAccount)
	const all = `"faults":["none","429","503","403","slow","drop"]}` + "\n"
	post := func(body string) answer {
		return do(t, s, request(http.MethodPost, "/faults", strings.NewReader(body)))
	}
	for _, f := range faults {
		if a := post(`{"fault":"` + string(f) + `"}`); a.status != 200 || a.body != `{"fault":"`+string(f)+`",`+all {
			t.Errorf("%s: %d %s", f, a.status, a.body)
		}
		if s.store.currentFault() != f {
			t.Errorf("%s is not set", f)
		}
	}
	for body, message := range map[string]string{
		``:                `body must be {\"fault\":\"\u003cname\u003e\"}`,
		`{"fault":503}`:   `body must be {\"fault\":\"\u003cname\u003e\"}`,
		`{}`:              `fault must be one of [none 429 503 403 slow drop]`,
		`{"fault":"500"}`: `fault must be one of [none 429 503 403 slow drop]`,
		`{"fault":"` + strings.Repeat("x", maxFaultBody) + `"}`: `body must be {\"fault\":\"\u003cname\u003e\"}`,
	} {
		if a := post(body); a.status != 400 || !strings.Contains(a.body, message) {
			t.Errorf("%.30s: %d %s", body, a.status, a.body)
		}
	}
	if s.store.currentFault() != FaultDrop {
		t.Error("a bad request has changed the fault")
	}
	if a := do(t, s, request(http.MethodGet, "/faults", nil)); a.body != `{"fault":"drop",`+all {
		t.Errorf("GET: %s", a.body)
	}
}

func TestFaultSlow(t *testing.T) {
	for _, tc := range []struct {
		name   string
		ctx    func() (context.Context, context.CancelFunc)
		close  time.Duration // of the sandbox, 0 = not
		after  time.Duration
		status int
		stored int
	}{
		{"waits", background, 0, 5 * time.Second, 200, 1},
		{"client gives up", giveUpAfter(2 * time.Second), 0, 2 * time.Second, 503, 0},
		{"sandbox closes", background, time.Second, time.Second, 200, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			faketime.Test(t, func(t *testing.T) {
				s := New(testAccount)
				defer s.Close()
				s.SetFault(FaultSlow)
				ctx, cancel := tc.ctx()
				defer cancel()
				if tc.close > 0 {
					time.AfterFunc(tc.close, s.Close)
				}
				start := time.Now()
				a := do(t, s, trackingRequest("track", aTrack).WithContext(ctx))
				if took := time.Since(start); took != tc.after || a.status != tc.status || len(s.Events()) != tc.stored {
					t.Errorf("%d after %s, %d stored", a.status, took, len(s.Events()))
				}
			})
		})
	}
}

func background() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}

func giveUpAfter(d time.Duration) func() (context.Context, context.CancelFunc) {
	return func() (context.Context, context.CancelFunc) { return context.WithTimeout(context.Background(), d) }
}

func TestFaultDrop(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s := newTest(t, testAccount)
		s.SetFault(FaultDrop)
		srv := httptest.NewUnstartedServer(s)
		srv.EnableHTTP2 = http2
		srv.StartTLS()
		r := trackingRequest("track", aTrack)
		r.RequestURI = ""
		r.URL.Scheme, r.URL.Host = "https", srv.Listener.Addr().String()
		resp, err := srv.Client().Do(r)
		if err == nil {
			t.Errorf("HTTP/2 %t: answered %s", http2, resp.Status)
			_ = resp.Body.Close()
		}
		if got := s.Stats().Rejected; len(s.Events()) != 0 || len(got) != 1 || got[0].Answer != "drop" || got[0].Count != 1 {
			t.Errorf("HTTP/2 %t: %d stored, rejected %+v", http2, len(s.Events()), got)
		}

		s.SetFault(FaultNone)
		r.Body = io.NopCloser(strings.NewReader(aTrack))
		resp, err = srv.Client().Do(r)
		if err != nil {
			t.Fatalf("HTTP/2 %t, fault off: %v", http2, err)
		}
		if want := 1; resp.StatusCode != http.StatusOK || (resp.ProtoMajor == 2) != http2 || len(s.Events()) != want {
			t.Errorf("HTTP/2 %t, fault off: %s %s", http2, resp.Proto, resp.Status)
		}
		_ = resp.Body.Close()
		srv.Client().CloseIdleConnections()
		srv.Close()
	}
}

// Where no connection can be taken over, net/http's abort is the only way.
func TestFaultDropWithoutHijack(t *testing.T) {
	s := newTest(t, testAccount)
	s.SetFault(FaultDrop)
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v", err)
		}
	}()
	s.ServeHTTP(httptest.NewRecorder(), trackingRequest("track", aTrack))
	t.Error("answered")
}
