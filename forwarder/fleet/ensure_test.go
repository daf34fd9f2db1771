package fleet

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestCheckVersion(t *testing.T) {
	for version, ok := range map[string]bool{
		"2.12.3": true, "v2.12.10": true, "2.14.0-RC.1": true, "3.0.0": true,
		"2.12.2": false, "2.11.99": false, "1.99.99": false, "": false, "dev": false,
	} {
		err := checkVersion(version)
		if (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
		if !ok && version != "" && !strings.Contains(err.Error(), version) {
			t.Errorf("%q is not named: %v", version, err)
		}
	}
}

// A second look finds what the first one made as planned, with and without Check.
func TestEnsureIsStable(t *testing.T) {
	s := startServer(t)
	o := s.options()
	open(t, o)
	var log logged
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	open(t, o)
	if text := log.String(); strings.Contains(text, "a stream") {
		t.Errorf("it made or changed a stream: %s", text)
	}
	o.Check = true
	open(t, o)
}

func TestCheckRefuses(t *testing.T) {
	s := startServer(t)
	o := s.options()
	open(t, o).close()
	js := s.admin()
	stream, err := js.Stream(deadline(t), "T-1_default_3")
	if err != nil {
		t.Fatal(err)
	}
	c := stream.CachedInfo().Config
	c.Discard = jetstream.DiscardOld
	c.MaxBytes = 12345
	c.Description = "mine"
	if _, err := js.UpdateStream(deadline(t), c); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(deadline(t), "T-1_default_4"); err != nil {
		t.Fatal(err)
	}

	o.Check = true
	j := begin(t, o, "default")
	refused := func() bool { return strings.Contains(j.Ready().Error(), "T-1_default_3") }
	eventually(t, "a refusal", j.Ready, refused)
	for _, want := range []string{
		"stream T-1_default_3: ", `discard is "old" and should be "new"`,
		"max_bytes is 12345 and should be 8388608", "stream T-1_default_4 is missing",
	} {
		if !strings.Contains(j.Ready().Error(), want) {
			t.Errorf("%q is not in the error: %v", want, j.Ready())
		}
	}

	// Without Check it is set right, but for what is the administrator's.
	o.Check = false
	open(t, o)
	if stream, err = js.Stream(deadline(t), "T-1_default_3"); err != nil {
		t.Fatal(err)
	}
	if c := stream.CachedInfo().Config; c.Discard != jetstream.DiscardNew || c.Description != "mine" {
		t.Errorf("discard %v, description %q", c.Discard, c.Description)
	}
	eventually(t, "ready with check", j.Ready, func() bool { return j.Ready() == nil })
}

// What Plan prints is enough for a node with Check, and for all that it does.
func TestPlanPermissions(t *testing.T) {
	s := startServer(t)
	o := s.options()
	open(t, o).close()
	plan, err := Plan(o, []string{"default"})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Streams) != lanes+2 {
		t.Errorf("%d streams", len(plan.Streams))
	}
	list := func(subjects []string) string { return `["` + strings.Join(subjects, `", "`) + `"]` }
	s.configure(`authorization { users: [
		{ user: node, password: hush, permissions: { publish: ` + list(plan.Publish) + `, subscribe: ` + list(plan.Subscribe) + ` } }
	] }`)
	s.restart()

	var log logged
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	o.Check, o.User, o.Password = true, "node", func() (string, error) { return "hush", nil }
	j := open(t, o)
	last := publishTo(t, j, messages(0, 3), "3", 0)
	wantLane(t, j, 3, "3")
	readAll(t, j, 0, 3, 1000)
	if err := j.Trim(deadline(t), anyLane, 2); err != nil {
		t.Error(err)
	}
	if err := j.TrimPositions(deadline(t), anyLane, last); err != nil {
		t.Error(err)
	}
	if err := j.Erase(deadline(t), anyLane, someone(1)); err != nil {
		t.Error(err)
	}
	addLetter(t, j, 1, "1")
	addLetter(t, j, 2, "2")
	if got := lettersOf(t, j); len(got) != 2 {
		t.Error("dead letters:", got)
	}
	if _, err := j.RemoveLetter(deadline(t), anyDestination, 1); err != nil {
		t.Error(err)
	}
	if _, err := j.EraseLetters(deadline(t), anyDestination, someone(2)); err != nil {
		t.Error(err)
	}
	w, _ := watch(t.Context(), j, "node.", "lease.")
	w.wait(t, 1)
	revision := put(t, j, "node.x", "1", 0, 0)
	w.wait(t, 2)
	if err := j.Delete(deadline(t), "node.x", revision); err != nil {
		t.Error(err)
	}
	w.wait(t, 3)
	w, _ = watch(t.Context(), j, "pause.")
	w.wait(t, 1)
	if text := log.String(); strings.Contains(text, "ermission") || strings.Contains(text, "hush") {
		t.Error(text)
	}

	// Its user may do no more.
	other := s.admin(nats.UserInfo("node", "hush"), nats.CustomInboxPrefix("_INBOX_T-1"))
	if err := other.DeleteStream(briefly(t), "T-1_default_3"); err == nil {
		t.Error("it may delete a stream")
	}
}

// A failure is logged when it begins and when it is over, however often it is tried.
func TestLogsOnce(t *testing.T) {
	s := startServer(t)
	s.kill()
	var log logged
	o := s.options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	j := begin(t, o, "default")
	for range 3 {
		<-j.changed()
	}
	s.start()
	eventually(t, "ready", j.Ready, func() bool { return j.Ready() == nil })
	eventually(t, "logged", j.Ready, func() bool { return strings.Contains(log.String(), "broker is ready") })
	for _, once := range []string{"replicas is 1", "broker is not ready", "broker is ready"} {
		if n := strings.Count(log.String(), once); n != 1 {
			t.Errorf("%q is logged %d times: %s", once, n, log.String())
		}
	}
}

// logged is a log in memory.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
