package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/internal/faketime"
)

// pipes is a listener of in-memory connections, whose deadlines follow the
// clock of a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// streamed runs a test against a real HTTP server on in-memory connections and
// virtual time.
func streamed(t *testing.T, test func(t *testing.T, s *Sandbox, p *pipes)) {
	t.Helper()
	faketime.Test(t, func(t *testing.T) {
		o := testAccount
		o.Burst = 1 << 20
		s := New(o)
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		srv := &http.Server{Handler: s}
		served := make(chan error)
		go func() { served <- srv.Serve(p) }()
		test(t, s, p)
		s.Close()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

type message struct{ event, id, data string }

// call is what the tests read of a message's data.
func (m message) call(t *testing.T) (e struct {
	Seq        uint64
	Name       string
	Duplicates int
	Raw        string
	Context    string
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(m.data), &e); err != nil {
		t.Fatalf("%s: %v", m.data, err)
	}
	return e
}

type stream struct {
	t      *testing.T
	header http.Header
	lines  *bufio.Reader
	close  func()
}

func open(t *testing.T, p *pipes, path, lastID string) *stream {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: p.dial}}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("stream: %s", resp.Status)
	}
	return &stream{t: t, header: resp.Header, lines: bufio.NewReaderSize(resp.Body, 1<<20), close: func() {
		cancel()
		_ = resp.Body.Close()
		client.CloseIdleConnections()
	}}
}

// next returns the next message; a comment's event is ":".
func (s *stream) next() (m message) {
	s.t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return message{event: "end"}
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			m.event = value
		case "id":
			m.id = value
		case "data":
			m.data = value
		case "retry":
		case "":
			if value != "" {
				m.event = ":"
			}
			if m.event != "" {
				return m
			}
		default:
			s.t.Fatalf("line %q", line)
		}
	}
}

// until reads messages up to the next state and returns their kinds, a call by
// its name and number of deliveries.
func (s *stream) until(event string) (kinds string, last message) {
	s.t.Helper()
	var b strings.Builder
	for {
		m := s.next()
		kind := m.event
		if m.event == "call" {
			e := m.call(s.t)
			kind = fmt.Sprintf("%s*%d", e.Name, e.Duplicates+1)
		}
		b.WriteString(kind + " ")
		if m.event == event || m.event == "end" {
			return strings.TrimSpace(b.String()), m
		}
	}
}

func (s *stream) want(kinds string) (id string) {
	s.t.Helper()
	got, last := s.until("state")
	if got != kinds {
		s.t.Errorf("stream sent %q, want %q", got, kinds)
	}
	return last.id
}

func TestStream(t *testing.T) {
	streamed(t, func(t *testing.T, s *Sandbox, p *pipes) {
		accept(t, s, "track", trackCall("A", "u", "a"))
		st := open(t, p, "/events", "")
		defer st.close()
		if got := st.header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("content-type %q", got)
		}
		st.want("A*1 state")
		accept(t, s, "batch", `{"batch":[`+trackCall("B", "u", "b")+`,`+trackCall("C", "u", "c")+`]}`)
		st.want("B*1 C*1 state")
		accept(t, s, "track", trackCall("B", "u", "b"))
		st.want("B*2 state")
		s.SetFault(Fault503)
		_, last := st.until("state")
		if !strings.Contains(last.data, `"fault":"503"`) {
			t.Errorf("state %s", last.data)
		}
		send(t, s, "track", aTrack)
		_, last = st.until("state")
		if !strings.Contains(last.data, `"rejected":[{"answer":"503","count":1`) {
			t.Errorf("state %s", last.data)
		}
		s.Clear()
		st.want("clear state")
	})
}

// A message holds one line of data, whatever an event contains, and carries
// the call's text unchanged.
func TestStreamFraming(t *testing.T) {
	streamed(t, func(t *testing.T, s *Sandbox, p *pipes) {
		raw := "{\n \"event\":\"x\\n\\ndata: y\\r\\u2028\",\r\n\"userId\":\"u\",\"properties\":{\"n\":12345678901234567890},\"context\":{ \"ip\":\"::1\" }}"
		accept(t, s, "track", raw)
		st := open(t, p, "/events", "")
		defer st.close()
		m := st.next()
		if e := m.call(t); m.event != "call" || e.Raw != raw || e.Name != "x\n\ndata: y\r\u2028" || e.Context != `{ "ip":"::1" }` {
			t.Errorf("%s %s", m.event, m.data)
		}
		st.want("state")
	})
}

func TestStreamResumes(t *testing.T) {
	streamed(t, func(t *testing.T, s *Sandbox, p *pipes) {
		accept(t, s, "track", trackCall("A", "u", "a"), trackCall("B", "u", "b"))
		st := open(t, p, "/events", "")
		afterA := st.next().id
		afterAll := st.want("B*1 state")
		st.close()

		accept(t, s, "track", trackCall("C", "u", "c"), trackCall("A", "u", "a"))
		for path, tc := range map[string]struct{ id, kinds string }{
			"/events":                   {afterA, "B*1 C*1 A*2 state"},
			"/events?x":                 {afterAll, "C*1 A*2 state"},
			"/events?after=" + afterAll: {"", "C*1 A*2 state"},
			"/events?new":               {"", "B*1 C*1 A*2 state"},
			"/events?other":             {"00000000.3", "clear B*1 C*1 A*2 state"},
			"/events?junk":              {"junk", "clear B*1 C*1 A*2 state"},
		} {
			st := open(t, p, path, tc.id)
			st.want(tc.kinds)
			st.close()
		}

		// A client that was away during a clearing forgets first.
		s.Clear()
		accept(t, s, "track", trackCall("D", "u", "d"))
		st = open(t, p, "/events", afterAll)
		afterD := st.want("clear D*1 state")
		st.close()
		accept(t, s, "track", trackCall("E", "u", "e"))
		st = open(t, p, "/events", afterD)
		st.want("E*1 state")
		st.close()
	})
}

func TestStreamHeartbeat(t *testing.T) {
	streamed(t, func(t *testing.T, s *Sandbox, p *pipes) {
		st := open(t, p, "/events", "")
		defer st.close()
		st.want("state")
		start := time.Now()
		for i := 1; i <= 3; i++ {
			if m := st.next(); m.event != ":" {
				t.Fatalf("message %q", m.event)
			}
			if took := time.Since(start); took != time.Duration(i)*streamHeartbeat {
				t.Errorf("heartbeat %d after %s", i, took)
			}
		}
		accept(t, s, "track", trackCall("A", "u", "a"))
		st.want("A*1 state")
	})
}

// Under a flood a stream sends an update per pace, not one per event.
func TestStreamPace(t *testing.T) {
	streamed(t, func(t *testing.T, s *Sandbox, p *pipes) {
		st := open(t, p, "/events", "")
		defer st.close()
		st.want("state")
		synctest.Wait()
		time.Sleep(streamPace) // virtual
		accept(t, s, "track", trackCall("A", "u", "a"))
		st.want("A*1 state")
		for _, name := range []string{"B", "C", "D"} {
			accept(t, s, "track", trackCall(name, "u", name))
			synctest.Wait() // the stream has done what it would do at once
		}
		st.want("B*1 C*1 D*1 state")
	})
}

func TestStreamEnds(t *testing.T) {
	t.Run("with the sandbox", func(t *testing.T) {
		streamed(t, func(t *testing.T, s *Sandbox, p *pipes) {
			st := open(t, p, "/events", "")
			defer st.close()
			st.want("state")
			time.Sleep(2 * streamPace) // virtual: it waits for a change now
			s.Close()
			s.Close()
			if m := st.next(); m.event != "end" {
				t.Errorf("message %q after Close", m.event)
			}
			if a := do(t, s, request(http.MethodGet, "/events", nil)); a.status != http.StatusServiceUnavailable {
				t.Errorf("a stream after Close: %d", a.status)
			}
			accept(t, s, "track", aTrack) // others are still answered
		})
	})
	t.Run("with the request", func(t *testing.T) {
		streamed(t, func(t *testing.T, s *Sandbox, p *pipes) {
			st := open(t, p, "/events", "")
			st.want("state")
			time.Sleep(2 * streamPace) // virtual: it waits for a change now
			st.close()
			synctest.Wait()
			if n := len(s.streams); n != 0 {
				t.Errorf("%d streams open", n)
			}
		})
	})
}

// A client that does not read is dropped, and delays nobody meanwhile.
func TestStreamDropsSlowClient(t *testing.T) {
	streamed(t, func(t *testing.T, s *Sandbox, p *pipes) {
		conn, err := p.dial(context.Background(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := fmt.Fprint(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(s.streams); n != 1 {
			t.Fatalf("%d streams open", n)
		}
		start := time.Now()
		for range 100 {
			accept(t, s, "track", padded(maxCallBytes))
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the senders waited %s", took)
		}
		time.Sleep(streamWriteTimeout + time.Second) // virtual
		synctest.Wait()
		if n := len(s.streams); n != 0 {
			t.Error("the client that does not read is still served")
		}
	})
}

func TestStreamLimit(t *testing.T) {
	streamed(t, func(t *testing.T, s *Sandbox, p *pipes) {
		streams := make([]*stream, maxStreams)
		for i := range streams {
			streams[i] = open(t, p, "/events", "")
		}
		if a := do(t, s, request(http.MethodGet, "/events", nil)); a.status != http.StatusServiceUnavailable {
			t.Errorf("one stream more: %d", a.status)
		}
		for _, st := range streams {
			st.close()
		}
		synctest.Wait()
		st := open(t, p, "/events", "")
		st.want("state")
		st.close()
	})
}
