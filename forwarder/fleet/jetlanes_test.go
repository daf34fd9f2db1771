package fleet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const anyLane = "default/3"

func someone(i int) string { return fmt.Sprintf("%032x", i) }

// events returns n events numbered from first, of three visitors.
func messages(first, n int) []message {
	out := make([]message, n)
	for i := range out {
		out[i] = message{someone(i % 3), fmt.Appendf(nil, "event %d", first+i)}
	}
	return out
}

func publishTo(t *testing.T, j *jetStream, batch []message, position string, last uint64) uint64 {
	t.Helper()
	revision, err := j.Publish(deadline(t), anyLane, batch, []byte(position), last)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// wantLane fails when a lane does not hold what is wanted.
func wantLane(t *testing.T, j *jetStream, events uint64, position string) {
	t.Helper()
	s, err := j.State(deadline(t), anyLane)
	if err != nil {
		t.Fatal(err)
	}
	if s.events != events {
		t.Errorf("the lane has %d events, want %d", s.events, events)
	}
	at, _, err := j.Position(deadline(t), anyLane)
	if err != nil {
		t.Fatal(err)
	}
	if string(at) != position {
		t.Errorf("the position is %q, want %q", at, position)
	}
}

func TestPublish(t *testing.T) {
	j := open(t, startServer(t).options())

	wantLane(t, j, 0, "")
	first := publishTo(t, j, messages(0, 500), "500", 0)
	second := publishTo(t, j, messages(500, 3), "503", first)
	only := publishTo(t, j, nil, "510", second)
	wantLane(t, j, 503, "510")
	if _, revision, _ := j.Position(deadline(t), anyLane); revision != only {
		t.Errorf("the position's revision is %d, want %d", revision, only)
	}

	for name, batch := range map[string][]message{"again": messages(500, 3), "position only": nil} {
		if _, err := j.Publish(deadline(t), anyLane, batch, []byte("x"), first); !errors.Is(err, errConflict) {
			t.Errorf("%s: %v, want errConflict", name, err)
		}
	}
	if _, err := j.Publish(deadline(t), anyLane, messages(0, 1), []byte("x"), 0); !errors.Is(err, errConflict) {
		t.Errorf("from nothing: %v, want errConflict", err)
	}
	wantLane(t, j, 503, "510")

	at, err := j.Stored(deadline(t), anyLane, 1)
	if err != nil || time.Since(at) > time.Minute {
		t.Errorf("the first event was stored at %v, %v", at, err)
	}
	if at, err := j.Stored(deadline(t), anyLane, 10_000); err != nil || !at.IsZero() {
		t.Errorf("an event that is not there was stored at %v, %v", at, err)
	}
}

func TestPublishRefusesWhatIsNoToken(t *testing.T) {
	j := newJetStream(Options{Node: "n"})
	for _, v := range []string{"", "x.y", someone(1)[1:], "ABCDEF" + someone(1)[6:], someone(1)[1:] + ">"} {
		if _, err := j.Publish(t.Context(), anyLane, []message{{visitor: v}}, nil, 0); err == nil || errors.Is(err, errNotReady) {
			t.Errorf("visitor %q: %v", v, err)
		}
	}
	for _, lane := range []string{"", "default", "default/8", "default/-1", "default/03", "De/1", "a.b/1"} {
		if _, err := j.Publish(t.Context(), lane, nil, nil, 0); err == nil || errors.Is(err, errNotReady) {
			t.Errorf("lane %q: %v", lane, err)
		}
	}
}

// Two nodes have a position each, whatever their names are.
func TestPositionsOfNodes(t *testing.T) {
	s := startServer(t)
	o := s.options()
	a := open(t, o)
	o.Node = "node-1"
	b := open(t, o)
	publishTo(t, a, messages(0, 2), "a", 0)
	publishTo(t, b, messages(2, 2), "b", 0)
	wantLane(t, a, 4, "a")
	wantLane(t, b, 4, "b")
}

// An answer that is lost leaves the batch done, and the position says so.
func TestPublishAnswerLost(t *testing.T) {
	j := open(t, startServer(t).options())
	first := publishTo(t, j, messages(0, 5), "5", 0)

	answerLost := 0
	for i := 0; i < 200 && answerLost == 0; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20*i)*time.Microsecond)
		revision, err := j.Publish(ctx, anyLane, messages(5, 400), []byte("405"), first)
		cancel()
		switch {
		case err == nil:
			t.Skip("each answer came in time")
		case errors.Is(err, errConflict):
			t.Fatalf("attempt %d: done before, and the position did not say so", i)
		case !errors.Is(err, errUnknown) && !errors.Is(err, context.DeadlineExceeded):
			t.Fatal(err)
		}
		// The broker may be at it still: a write of the same position after it tells.
		at, now, err := j.Position(deadline(t), anyLane)
		if err != nil {
			t.Fatal(err)
		}
		_, err = j.Publish(deadline(t), anyLane, nil, at, now)
		switch {
		case errors.Is(err, errConflict):
			answerLost++
		case err != nil:
			t.Fatal(err)
		case string(at) == "405":
			answerLost++
		default:
			if _, first, err = j.Position(deadline(t), anyLane); err != nil {
				t.Fatal(err)
			}
		}
		_ = revision
	}
	wantLane(t, j, 405, "405")
	if answerLost == 0 {
		t.Error("no answer was lost after its batch was done")
	}
}

func TestPublishFull(t *testing.T) {
	s := startServer(t)
	o := s.options()
	o.MaxBytes = MinMaxBytes // 8 MiB a lane
	j := open(t, o)

	big := func(n int) []message {
		out := messages(0, n)
		for i := range out {
			out[i].payload = make([]byte, 100_000)
		}
		return out
	}
	var last uint64
	for range 10 {
		last = publishTo(t, j, big(8), "80", last)
	}
	if _, err := j.Publish(deadline(t), anyLane, big(8), []byte("88"), last); !errors.Is(err, errFull) {
		t.Errorf("batch: %v, want errFull", err)
	}
	wantLane(t, j, 80, "80")
	if err := j.Trim(deadline(t), anyLane, 50); err != nil {
		t.Fatal(err)
	}
	publishTo(t, j, big(8), "88", last)
	wantLane(t, j, 44, "88")
}

func TestTrim(t *testing.T) {
	j := open(t, startServer(t).options())
	first := publishTo(t, j, messages(0, 10), "10", 0)       // 1..10, position 11
	second := publishTo(t, j, messages(10, 10), "20", first) // 12..21, position 22

	for _, before := range []uint64{0, 1} {
		if err := j.Trim(deadline(t), anyLane, before); err != nil {
			t.Fatal(err)
		}
		wantLane(t, j, 20, "20")
	}
	if err := j.Trim(deadline(t), anyLane, 15); err != nil {
		t.Fatal(err)
	}
	wantLane(t, j, 7, "20")
	if at, err := j.Stored(deadline(t), anyLane, first); err != nil || at.IsZero() {
		t.Errorf("trimming took a position: %v", err)
	}
	if err := j.TrimPositions(deadline(t), anyLane, second); err != nil {
		t.Fatal(err)
	}
	if at, err := j.Stored(deadline(t), anyLane, first); err != nil || !at.IsZero() {
		t.Errorf("the position before is still there: %v", err)
	}
	wantLane(t, j, 7, "20")
	publishTo(t, j, messages(20, 1), "21", second)

	s, err := j.State(deadline(t), anyLane)
	if err != nil || s.first != 15 || s.last != 24 || s.bytes == 0 {
		t.Errorf("state %+v, %v", s, err)
	}
}

func TestErase(t *testing.T) {
	j := open(t, startServer(t).options())
	publishTo(t, j, messages(0, 9), "9", 0)
	if err := j.Erase(deadline(t), anyLane, someone(1)); err != nil {
		t.Fatal(err)
	}
	wantLane(t, j, 6, "9")
	want := []string{"event 0", "event 2", "event 3", "event 5", "event 6", "event 8"}
	if diff := cmp.Diff(want, readAll(t, j, 0, len(want), 1<<20)); diff != "" {
		t.Error(diff)
	}
	if err := j.Erase(deadline(t), anyLane, "*"); err == nil {
		t.Error("a wildcard was taken for a visitor")
	}
}

// A position that went at the stream's age would have each later batch refused.
func TestPositionOutlivesMaxAge(t *testing.T) {
	s := startServer(t)
	j := open(t, s.options())
	last := publishTo(t, j, messages(0, 3), "3", 0)
	js := s.admin()
	stream, err := js.Stream(deadline(t), "T-1_default_3")
	if err != nil {
		t.Fatal(err)
	}
	c := stream.CachedInfo().Config
	c.MaxAge = time.Second
	if _, err := js.UpdateStream(deadline(t), c); err != nil {
		t.Fatal(err)
	}
	count := func() uint64 {
		s, err := j.State(deadline(t), anyLane)
		if err != nil {
			t.Fatal(err)
		}
		return s.events
	}
	eventually(t, "no events", func() error { return fmt.Errorf("%d are there", count()) }, func() bool { return count() == 0 })
	wantLane(t, j, 0, "3")
	publishTo(t, j, messages(3, 3), "6", last)
}

func TestNotReady(t *testing.T) {
	s := startServer(t)
	j := open(t, s.options())
	if err := s.admin().DeleteStream(deadline(t), "T-1_default_3"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Publish(deadline(t), anyLane, messages(0, 1), nil, 0); !errors.Is(err, errNotReady) {
		t.Errorf("without a stream: %v", err)
	}
	// It is made again.
	eventually(t, "the stream", j.Ready, func() bool {
		_, err := j.Publish(deadline(t), anyLane, messages(0, 1), nil, 0)
		return err == nil
	})
	changed := j.changed()
	s.kill()
	<-changed
	eventually(t, "not ready", j.Ready, func() bool { return errors.Is(j.Ready(), errNotReady) })
	if _, err := j.Publish(deadline(t), anyLane, messages(0, 1), nil, 0); !errors.Is(err, errNotReady) {
		t.Errorf("without a server: %v", err)
	}
	s.start()
	eventually(t, "ready", j.Ready, func() bool { return j.Ready() == nil })
	wantLane(t, j, 1, "")
}

// A request that waits for an answer ends with its connection.
func TestRequestEndsWithConnection(t *testing.T) {
	s := startServer(t)
	j := open(t, s.options())
	in := make(chan error, 1)
	go func() { // nobody ever answers: no message, and the context has no end
		_, err := j.Read(anyLane, 0).Next(context.Background(), 1000)
		in <- err
	}()
	js := s.admin()
	consumers := func() int {
		stream, err := js.Stream(deadline(t), "T-1_default_3")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Consumers
	}
	eventually(t, "a consumer", func() error { return nil }, func() bool { return consumers() == 1 })
	s.kill()
	if err := <-in; !errors.Is(err, errNotReady) {
		t.Errorf("%v, want errNotReady", err)
	}
}
