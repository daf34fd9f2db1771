package faults

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
	"github.com/intilery/caddy-intilery/internal/freeport"
)

// caddyEnv names a Caddy with this module, as ./xcaddy.sh build makes it.
const caddyEnv = "INTILERY_CADDY"

const caddyfile = `{
	admin off
	persist_config off
	storage file_system %[1]s/storage
	intilery {
		client_id c
		auth_token t
		endpoint %[2]s
		data_dir %[1]s/%[3]s
		fleet nats {
			servers %[4]s
			node %[3]s
			lease 2s
			max_size 64MiB
		}
	}
}
http://127.0.0.1:%[5]s {
	intilery
	header Content-Type text/html
	respond "<!doctype html><title>page</title>"
}
`

// pages is what visitors were served, and what has arrived at Intilery of it.
type pages struct {
	mu      sync.Mutex
	served  map[string]page
	arrived []string // paths, repeats included
	ids     map[string]map[string]bool
}

type page struct {
	node *site
	at   time.Time
}

// ServeHTTP stands in for the Tracking API.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Batch []struct {
			AnonymousID string
			Properties  struct{ Path string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range body.Batch {
		p.arrived = append(p.arrived, e.Properties.Path)
		visitor, _, _ := strings.Cut(strings.TrimPrefix(e.Properties.Path, "/"), "/")
		if p.ids[visitor] == nil {
			p.ids[visitor] = make(map[string]bool)
		}
		p.ids[visitor][e.AnonymousID] = true
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"success":true}`)
}

func (p *pages) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.served)
}

// missing are the pages that were served and have not arrived, but for those that a
// node served in the last moments before it was killed.
func (p *pages) missing() (paths []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := make(map[string]bool, len(p.arrived))
	for _, path := range p.arrived {
		got[path] = true
	}
	for path, s := range p.served {
		if !got[path] && !s.node.mayLose(s.at) {
			paths = append(paths, path)
		}
	}
	return paths
}

// site is one Caddy.
type site struct {
	t    *testing.T
	url  string
	args []string
	log  string

	mu     sync.Mutex
	cmd    *exec.Cmd
	killed []time.Time
}

// mayLose reports whether what was served at a time may not have reached the disk.
func (s *site) mayLose(at time.Time) bool {
	const moment = 500 * time.Millisecond // 20 ms, on a machine that is busy
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.killed {
		if d := k.Sub(at); d > -moment && d < moment {
			return true
		}
	}
	return false
}

func (s *site) start() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(os.Getenv(caddyEnv), s.args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.cmd = cmd
	s.mu.Unlock()
	harness.Await(s.t, 30*time.Second, "Caddy serves", func() bool {
		resp, err := http.Get(s.url + "/ready")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
}

func (s *site) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.killed = append(s.killed, time.Now())
		s.cmd = nil
	}
}

// visit has a visitor load pages, at its own node while that serves.
func visit(p *pages, sites []*site, visitor int, stop *atomic.Bool) {
	jar, _ := cookiejar.New(nil) // has no errors
	client := &http.Client{Jar: jar, Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	for n, at := 1, visitor; !stop.Load(); {
		s := sites[at%len(sites)]
		path := fmt.Sprintf("/visitor-%d/%d", visitor, n)
		req, err := http.NewRequest(http.MethodGet, s.url+path, nil)
		if err != nil {
			return
		}
		for name, value := range map[string]string{
			"Accept": "text/html", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none",
			"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		} {
			req.Header.Set(name, value)
		}
		resp, err := client.Do(req)
		if err != nil {
			at++ // it was killed: the next one serves
			n++  // whether this page was captured is not known
			continue
		}
		resp.Body.Close()
		p.mu.Lock()
		p.served[path] = page{s, time.Now()}
		p.mu.Unlock()
		n++
	}
}

// Three Caddys and three brokers under load. Nodes are killed, and the broker that leads
// a stream is stopped: what was served arrives, each visitor's pages of a node in their
// order, and each visitor under one anonymousId, whichever node has served.
func TestCaddys(t *testing.T) {
	if os.Getenv(caddyEnv) == "" {
		t.Skip(caddyEnv + " is not set: want the path of ./caddy, which ./xcaddy.sh build makes")
	}
	cluster := harness.NewCluster(t, harness.ClusterOptions{})
	p := &pages{served: make(map[string]page), ids: make(map[string]map[string]bool)}
	receiver := httptest.NewServer(p)
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	var servers []string
	for _, addr := range cluster.Addrs() {
		servers = append(servers, "nats://"+addr)
	}
	var sites []*site
	for _, name := range []string{"a", "b", "c"} {
		port, err := freeport.Next()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name+".caddyfile")
		text := fmt.Sprintf(caddyfile, dir, receiver.URL, name, strings.Join(servers, " "), port)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &site{t: t, url: "http://127.0.0.1:" + port, args: []string{"run", "--config", file, "--adapter", "caddyfile"}, log: filepath.Join(dir, name+".log")}
		t.Cleanup(func() {
			s.kill()
			if log, err := os.ReadFile(s.log); t.Failed() && err == nil {
				t.Logf("%s:\n%s", name, log[max(0, len(log)-4000):])
			}
		})
		s.start()
		sites = append(sites, s)
	}
	stop := new(atomic.Bool)
	var visitors sync.WaitGroup
	for v := range 12 {
		visitors.Go(func() { visit(p, sites, v, stop) })
	}
	t.Cleanup(visitors.Wait)
	t.Cleanup(func() { stop.Store(true) })
	more := func(n int) {
		t.Helper()
		at := p.count()
		harness.Await(t, 60*time.Second, "pages are served", func() bool { return p.count() >= at+n })
	}
	more(2500)
	for i := range 5 {
		s := sites[rand.IntN(len(sites))]
		s.kill()
		more(2500) // by the others
		s.start()
		more(2500)
		if i == 2 {
			b := cluster.Leader("IQ_default_0")
			b.Stop()
			more(2500)
			b.Start()
		}
	}
	stop.Store(true)
	visitors.Wait()
	harness.Within(60*time.Second, func() bool { return len(p.missing()) == 0 })
	if lost := p.missing(); len(lost) > 0 {
		t.Errorf("%d of %d pages are lost: %v", len(lost), p.count(), lost[:min(len(lost), 10)])
	}
	check(t, p)
}

// check looks at the order of what has arrived, and at the IDs.
func check(t *testing.T, p *pages) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	type at struct {
		visitor string
		node    *site
	}
	seen, last := make(map[string]bool), make(map[at]int)
	repeats, disordered := 0, 0
	for _, path := range p.arrived {
		if seen[path] {
			repeats++
			continue
		}
		seen[path] = true
		s, known := p.served[path]
		var visitor string
		var n int
		if parts := strings.Split(strings.TrimPrefix(path, "/"), "/"); known && len(parts) == 2 {
			visitor = parts[0]
			_, _ = fmt.Sscan(parts[1], &n)
		}
		if n < last[at{visitor, s.node}] {
			disordered++
		}
		last[at{visitor, s.node}] = n
	}
	if disordered > 0 {
		t.Errorf("%d pages came out of their order", disordered)
	}
	for visitor, ids := range p.ids {
		if strings.HasPrefix(visitor, "visitor-") && len(ids) != 1 {
			t.Errorf("%s has %d anonymousIds", visitor, len(ids))
		}
	}
	t.Logf("%d pages, %d arrived again, %d out of order", len(p.served), repeats, disordered)
}
