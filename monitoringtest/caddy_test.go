package monitoringtest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Where the programs are: a Caddy as ./xcaddy.sh build makes it, and a NATS server.
const (
	caddyEnv = "INTILERY_CADDY"
	natsEnv  = "INTILERY_NATS_SERVER"
)

const patience = time.Minute

// eventually fails the test if the condition does not come.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// receiver stands in for the Tracking API. It answers each request with status, but
// always refuses events whose name is Bad.
type receiver struct {
	*httptest.Server
	status atomic.Int32
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.status.Store(http.StatusOK)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		status := int(r.status.Load())
		if err != nil || status == http.StatusOK && strings.Contains(string(body), `"Bad"`) {
			status = http.StatusBadRequest
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"success": status == http.StatusOK})
	}))
	t.Cleanup(r.Close)
	return r
}

// start runs a program until the test ends, and shows its log if the test has failed.
func start(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		stop := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		stop.Stop()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s:\n%s", path, text)
		}
	})
	return cmd
}

// caddy is one that runs. It listens on sockets in its directory, so that no port can
// be taken.
type caddy struct {
	t    *testing.T
	dir  string
	shop *http.Client
}

// newCaddy starts one with what is put into its global block and its site's.
func newCaddy(t *testing.T, endpoint, global, site string) *caddy {
	t.Helper()
	dir, err := os.MkdirTemp("", "intilery") // short: the path of a socket has 108 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &caddy{t: t, dir: dir}
	c.shop = c.client("shop")
	text := strings.NewReplacer("DIR", dir, "ENDPOINT", endpoint, "GLOBAL", global, "SITE", site).Replace(`{
	admin unix/DIR/admin
	persist_config off
	grace_period 1s
	storage file_system DIR/storage
	intilery {
		client_id c
		auth_token t
		endpoint ENDPOINT
		data_dir DIR/data
		GLOBAL
	}
}
http://shop.test {
	bind unix/DIR/shop
	SITE
}
`)
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, os.Getenv(caddyEnv), "run", "--config", file, "--adapter", "caddyfile")
	eventually(t, "Caddy is started", func() bool {
		resp, err := c.shop.Get("http://shop.test/ready.png")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return c
}

// client connects to the socket of that name.
func (c *caddy) client(socket string) *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(c.dir, socket))
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send makes a request as a browser does, with more headers as name and value.
func (c *caddy) send(method, path, body string, headers ...string) {
	c.t.Helper()
	r, err := http.NewRequest(method, "http://shop.test"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.shop.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
}

// visit loads a page until it is captured: at first the keeper's key is not there yet.
func (c *caddy) visit(all exported) {
	c.t.Helper()
	eventually(c.t, "a page is captured", func() bool {
		c.send(http.MethodGet, "/", "")
		return c.scrape(all).sum("events_captured_total") > 0
	})
}

// exported are the metrics that were scraped, by name.
type exported map[string]*dto.MetricFamily

// scrape returns what /metrics has of ours, and adds it to all.
func (c *caddy) scrape(all exported) exported {
	c.t.Helper()
	resp, err := c.client("admin").Get("http://127.0.0.1/metrics")
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	now := make(exported)
	for name, family := range families {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		now[name] = family
		if before := all[name]; before == nil {
			all[name] = family
		} else {
			before.Metric = append(before.Metric, family.Metric...)
		}
	}
	return now
}

// sum is that of a counter or gauge, over the series that have the label's value if one
// is given.
func (e exported) sum(name string, label ...string) (sum float64) {
	for _, m := range e.series(name, label...) {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum
}

func (e exported) series(name string, label ...string) (fit []*dto.Metric) {
	for _, m := range e[prefix+name].GetMetric() {
		fits := len(label) == 0
		for _, l := range m.GetLabel() {
			fits = fits || l.GetName() == label[0] && l.GetValue() == label[1]
		}
		if fits {
			fit = append(fit, m)
		}
	}
	return fit
}
