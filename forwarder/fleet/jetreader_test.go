package fleet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readAll reads n events behind a sequence.
func readAll(t *testing.T, j *jetStream, after uint64, n, maxBytes int) []string {
	t.Helper()
	r := j.Read(anyLane, after)
	defer r.Close()
	return readFrom(t, r, n, maxBytes)
}

func readFrom(t *testing.T, r reader, n, maxBytes int) []string {
	t.Helper()
	var out []string
	for len(out) < n {
		got, err := r.Next(deadline(t), maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			t.Fatal("no events and no error")
		}
		for _, e := range got {
			if time.Since(e.at) > time.Minute || e.sequence == 0 {
				t.Fatalf("stored at %v with sequence %d", e.at, e.sequence)
			}
			out = append(out, string(e.payload))
		}
	}
	return out
}

func numbered(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("event %d", i))
	}
	return out
}

func TestReaderOrder(t *testing.T) {
	j := open(t, startServer(t).options())
	var last uint64
	for i := range 10 {
		last = publishTo(t, j, messages(500*i, 500), fmt.Sprint(i), last)
	}
	for _, maxBytes := range []int{1, 150, 3000, 1 << 20} {
		n := 5000
		if maxBytes == 1 {
			n = 50 // each is a pull of its own
		}
		if diff := cmp.Diff(numbered(0, n), readAll(t, j, 0, n, maxBytes)[:n]); diff != "" {
			t.Errorf("%d bytes: %s", maxBytes, diff)
		}
	}
	// Behind the second batch, whose position has sequence 1,002.
	if diff := cmp.Diff(numbered(1000, 5000), readAll(t, j, 1002, 4000, 1<<20)); diff != "" {
		t.Error(diff)
	}
}

// Next returns about what was asked for, and does not wait for more than is there.
func TestReaderDemand(t *testing.T) {
	s := startServer(t)
	j := open(t, s.options())
	batch := messages(0, 100)
	for i := range batch {
		batch[i].payload = make([]byte, 1000)
	}
	last := publishTo(t, j, batch, "1", 0)
	r := j.Read(anyLane, 0)
	defer r.Close()
	got, err := r.Next(deadline(t), 10_000)
	if err != nil || len(got) < 5 || len(got) > 10 {
		t.Fatalf("%d events of 1,000 bytes for 10,000, %v", len(got), err)
	}
	if got, err = r.Next(deadline(t), 1<<20); err != nil || len(got) < 90 {
		t.Fatalf("%d events, %v", len(got), err)
	}

	// Nothing is there: it waits for the next.
	result := make(chan []string, 1)
	go func() { result <- readFrom(t, r, 1, 10_000) }()
	js := s.admin()
	eventually(t, "a pull that waits", func() error { return nil }, func() bool {
		p := r.(*jetReader).p
		c, err := js.Consumer(deadline(t), p.stream, p.consumer)
		return err == nil && c.CachedInfo().NumWaiting == 1
	})
	publishTo(t, j, messages(7, 1), "2", last)
	if diff := cmp.Diff(numbered(7, 8), <-result); diff != "" {
		t.Error(diff)
	}
}

func TestReaderAcrossHoles(t *testing.T) {
	j := open(t, startServer(t).options())
	last := publishTo(t, j, messages(0, 30), "1", 0)
	r := j.Read(anyLane, 0)
	defer r.Close()
	if _, err := r.Next(deadline(t), 200); err != nil {
		t.Fatal(err)
	}
	if err := j.Erase(deadline(t), anyLane, someone(1)); err != nil {
		t.Fatal(err)
	}
	if err := j.Trim(deadline(t), anyLane, 20); err != nil {
		t.Fatal(err)
	}
	publishTo(t, j, messages(30, 3), "2", last)
	want := map[string]bool{}
	for i := 21; i < 33; i++ {
		want[fmt.Sprintf("event %d", i)] = i%3 != 1 || i > 30
	}
	for {
		got := readFrom(t, r, 1, 1<<20)
		for _, e := range got {
			delete(want, e)
		}
		if got[len(got)-1] == "event 32" {
			break
		}
	}
	for e, there := range want {
		if there {
			t.Errorf("%s was not read", e)
		}
	}
}

func TestReaderAfterRestart(t *testing.T) {
	s := startServer(t)
	j := open(t, s.options())
	last := publishTo(t, j, messages(0, 10), "1", 0)
	r := j.Read(anyLane, 0)
	defer r.Close()
	readFrom(t, r, 10, 1<<20)

	s.restart()
	eventually(t, "ready", j.Ready, func() bool { return j.Ready() == nil })
	publishTo(t, j, messages(10, 10), "2", last)
	if got, err := r.Next(deadline(t), 1000); !errors.Is(err, errNotReady) {
		t.Errorf("read %d events, %v, want errNotReady", len(got), err)
	}
	if diff := cmp.Diff(numbered(10, 20), readAll(t, j, 11, 10, 1<<20)); diff != "" {
		t.Error(diff)
	}
}

// A consumer that is gone is an error, whether it goes while Next waits or before.
func TestReaderWithoutConsumer(t *testing.T) {
	s := startServer(t)
	j := open(t, s.options())
	publishTo(t, j, messages(0, 1), "1", 0)
	for _, waiting := range []bool{true, false} {
		r := j.Read(anyLane, 0).(*jetReader)
		readFrom(t, r, 1, 1000)
		remove := func() {
			if err := s.admin().DeleteConsumer(deadline(t), r.p.stream, r.p.consumer); err != nil {
				t.Error(err)
			}
		}
		if !waiting {
			remove()
		}
		in := make(chan error, 1)
		go func() {
			_, err := r.Next(deadline(t), 1000)
			in <- err
		}()
		if waiting {
			remove()
		}
		if err := <-in; err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting %v: %v", waiting, err)
		}
		r.Close()
	}
}

func TestReaderGap(t *testing.T) {
	j := open(t, startServer(t).options())
	publishTo(t, j, messages(0, 10), "1", 0)
	r := j.Read(anyLane, 0).(*jetReader)
	defer r.Close()
	readFrom(t, r, 1, 100)
	// The same consumer's messages go elsewhere for a while.
	elsewhere := *r.p
	elsewhere.inbox = elsewhere.conn.NewInbox()
	if _, err := elsewhere.conn.SubscribeSync(elsewhere.inbox + ".*"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, _, err := elsewhere.request(ctx, 0, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if got, err := r.Next(deadline(t), 1000); !errors.Is(err, errGap) {
		t.Errorf("%d events, %v, want errGap", len(got), err)
	}
}
