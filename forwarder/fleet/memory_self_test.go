package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const memLane = "main/0"

// events makes a message of each payload, all of the visitor that its first letter names.
func events(payloads ...string) []message {
	var ms []message
	for _, p := range payloads {
		ms = append(ms, message{visitor: strings.Repeat(p[:1], 32), payload: []byte(p)})
	}
	return ms
}

func publish(t *testing.T, n *memNode, position string, last uint64, payloads ...string) uint64 {
	t.Helper()
	rev, err := n.Publish(t.Context(), memLane, events(payloads...), []byte(position), last)
	if err != nil {
		t.Fatalf("publish %v: %v", payloads, err)
	}
	return rev
}

// nextEvents renders what a reader gives: sequence and payload.
func nextEvents(t *testing.T, r reader, maxBytes int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	es, err := r.Next(ctx, maxBytes)
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, e := range es {
		out = append(out, fmt.Sprintf("%d:%s", e.sequence, e.payload))
	}
	return strings.Join(out, " ")
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func TestMemoryPublishesInOrderAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBroker()
		n, m := b.node("n"), b.node("m")
		r := m.Read(memLane, 0)
		rev := publish(t, n, "p1", 0, "a1", "b1")
		want(t, "revision", rev, 3)
		_, err := n.Publish(t.Context(), memLane, events("a1", "b1"), []byte("p1"), 0)
		wantErr(t, "a repeated batch", err, errConflict)
		publish(t, m, "q1", 0, "c1")
		rev = publish(t, n, "p2", rev, "a2")
		want(t, "first read", nextEvents(t, r, 4), "1:a1 2:b1")
		want(t, "second read", nextEvents(t, r, 1), "4:c1")
		want(t, "third read", nextEvents(t, r, 100), "6:a2")
		position, got, _ := n.Position(t.Context(), memLane)
		want(t, "position", fmt.Sprintf("%s %d", position, got), fmt.Sprintf("p2 %d", rev))

		if err := m.Erase(t.Context(), memLane, events("a")[0].visitor); err != nil {
			t.Fatal(err)
		}
		if err := m.Trim(t.Context(), memLane, 3); err != nil {
			t.Fatal(err)
		}
		want(t, "after erase and trim", nextEvents(t, m.Read(memLane, 0), 100), "4:c1")
		st, _ := m.State(t.Context(), memLane)
		st.bytes = 0
		want(t, "state", st, state{first: 3, last: 7, events: 1})
		if err := n.TrimPositions(t.Context(), memLane, rev); err != nil {
			t.Fatal(err)
		}
		st, _ = m.State(t.Context(), memLane)
		want(t, "first after trimming positions", st.first, 4)
		_, got, _ = n.Position(t.Context(), memLane)
		want(t, "position's revision after trimming", got, rev)
	})
}

func TestMemoryKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBroker()
		b.setLatency(10 * time.Millisecond)
		n := b.node("n")
		start := time.Now()
		var told []string
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		watch := func() {
			done <- n.Watch(ctx, []string{"lease."}, func(e entry) {
				told = append(told, fmt.Sprintf("%s=%s@%d", e.key, e.value, e.revision))
			}, func() { told = append(told, "synced") })
		}
		put := func(key, value string, rev uint64, ttl time.Duration) uint64 {
			t.Helper()
			got, err := n.Put(t.Context(), key, []byte(value), rev, ttl)
			if err != nil {
				t.Fatalf("put %s: %v", key, err)
			}
			return got
		}
		rev := put("lease.a", "1", 0, 2500*time.Millisecond)
		go watch()
		synctest.Wait()
		_, err := n.Put(t.Context(), "lease.a", nil, 0, 0)
		wantErr(t, "create what is there", err, errConflict)
		put("cursor.a", "", 0, 0)
		time.Sleep(time.Second)
		rev = put("lease.a", "2", rev, 2500*time.Millisecond)
		renewed := time.Now()
		wantErr(t, "delete an older revision", n.Delete(t.Context(), "lease.a", rev-1), errConflict)
		// The server counts whole seconds.
		time.Sleep(time.Until(renewed.Add(1900 * time.Millisecond)))
		e, _ := n.Get(t.Context(), "lease.a")
		want(t, "value before the TTL's end", string(e.value), "2")
		time.Sleep(100 * time.Millisecond)
		e, _ = n.Get(t.Context(), "lease.a")
		want(t, "revision after the TTL's end", e.revision, 0)
		_, err = n.Put(t.Context(), "lease.a", nil, rev, 0)
		wantErr(t, "renew what has gone", err, errConflict)
		rev = put("lease.a", "3", 0, 0)
		if err := n.Delete(t.Context(), "lease.a", rev); err != nil {
			t.Fatal(err)
		}
		put("lease.a", "4", 0, 0)
		time.Sleep(10 * time.Millisecond)
		cancel()
		wantErr(t, "watch", <-done, context.Canceled)
		want(t, "told", strings.Join(told, " "),
			"lease.a=1@1 synced lease.a=2@3 lease.a=@0 lease.a=3@5 lease.a=@0 lease.a=4@7")
		if time.Since(start) > time.Minute {
			t.Error("time ran away")
		}
	})
}

func TestMemoryFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBroker()
		b.setLatency(10 * time.Millisecond)
		n, m := b.node("n"), b.node("m")
		soon := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		n.loseAnswers(1)
		_, err := n.Put(soon(), "k", nil, 0, 0)
		wantErr(t, "an answer lost", err, errUnknown)
		e, _ := m.Get(soon(), "k")
		want(t, "revision when the answer was lost", e.revision, 1)
		n.setFault(func(method, what string) fault { return requestLost })
		wantErr(t, "a request lost", n.Delete(soon(), "k", 1), errUnknown)
		n.setFault(nil)
		e, _ = m.Get(soon(), "k")
		want(t, "revision when the request was lost", e.revision, 1)

		b.full(memLane, true)
		_, err = n.Publish(soon(), memLane, nil, []byte("p"), 0)
		wantErr(t, "a full stream", err, errFull)
		b.full(memLane, false)
		r, done := n.Read(memLane, 0), make(chan error)
		go func() {
			_, err := r.Next(t.Context(), 1)
			done <- err
		}()
		go func() {
			done <- n.Watch(t.Context(), []string{"k"}, func(entry) {}, func() {})
		}()
		time.Sleep(time.Second)
		n.cut(true)
		wantErr(t, "reader or watch of a node that was cut off", <-done, errUnknown)
		wantErr(t, "reader or watch of a node that was cut off", <-done, errUnknown)
		wantErr(t, "ready", n.Ready(), errNotReady)
		_, err = n.Get(soon(), "k")
		wantErr(t, "a call while cut off", err, context.DeadlineExceeded)
		if _, err = m.Get(soon(), "k"); err != nil {
			t.Error("the other node was cut off too:", err)
		}
		n.cut(false)
		b.down(true)
		_, err = m.Get(soon(), "k")
		wantErr(t, "a call while the cluster is down", err, errNotReady)
		b.down(false)

		// The request goes through, then the node is cut off.
		go func() {
			_, err := n.Put(soon(), "late", nil, 0, 0)
			done <- err
		}()
		time.Sleep(7 * time.Millisecond)
		n.cut(true)
		wantErr(t, "an answer on its way", <-done, context.DeadlineExceeded)
		n.cut(false)
		e, _ = n.Get(soon(), "late")
		want(t, "revision of what was done", e.revision, 2)
	})
}

func TestMemoryRestoresAnOlderCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBroker()
		n := b.node("n")
		rev := publish(t, n, "p1", 0, "a1")
		if _, err := n.Put(t.Context(), "k", []byte("old"), 0, 2*time.Second); err != nil {
			t.Fatal(err)
		}
		older := b.snapshot()
		r := n.Read(memLane, 0)
		want(t, "read", nextEvents(t, r, 1), "1:a1")
		later := publish(t, n, "p2", rev, "a2")
		if _, err := n.Put(t.Context(), "k", []byte("new"), 1, 0); err != nil {
			t.Fatal(err)
		}
		b.restore(older)
		want(t, "an older reader", nextEvents(t, r, 1), errUnknown.Error())
		position, got, _ := n.Position(t.Context(), memLane)
		want(t, "position", fmt.Sprintf("%s %d", position, got), "p1 2")
		_, err := n.Publish(t.Context(), memLane, nil, nil, later)
		wantErr(t, "publish behind a position that is gone", err, errConflict)
		want(t, "sequence given out again", publish(t, n, "p2", rev, "a2"), later)
		e, _ := n.Get(t.Context(), "k")
		want(t, "value", string(e.value), "old")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		e, _ = n.Get(t.Context(), "k")
		want(t, "revision after the copy's TTL", e.revision, 0)
		b.restore(older)
		synctest.Wait()
		e, _ = n.Get(t.Context(), "k")
		want(t, "revision when restored after its TTL", e.revision, 0)
	})
}

func TestMemoryStreamIsBounded(t *testing.T) {
	b := newMemBroker()
	b.setMaxBytes(200)
	n := b.node("n")
	rev, refused := uint64(0), false
	for range 10 {
		next, err := n.Publish(t.Context(), memLane, events("a"), nil, rev)
		if errors.Is(err, errFull) {
			refused = true
			break
		}
		rev = next
	}
	want(t, "refused", refused, true)
	want(t, "calls", b.called("Publish") > 0, true)
}
