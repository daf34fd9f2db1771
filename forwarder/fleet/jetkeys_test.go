package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func put(t *testing.T, j *jetStream, key, value string, revision uint64, ttl time.Duration) uint64 {
	t.Helper()
	r, err := j.Put(deadline(t), key, []byte(value), revision, ttl)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return r
}

func get(t *testing.T, j *jetStream, key string) entry {
	t.Helper()
	e, err := j.Get(deadline(t), key)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestKeys(t *testing.T) {
	j := open(t, startServer(t).options())
	conflict := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, errConflict) {
			t.Errorf("%s: %v, want errConflict", what, err)
		}
	}
	write := func(revision uint64) error {
		_, err := j.Put(deadline(t), "lease.default.3", nil, revision, 0)
		return err
	}
	if e := get(t, j, "lease.default.3"); e.revision != 0 {
		t.Errorf("a key that is not there has revision %d", e.revision)
	}
	conflict("change what is not there", write(7))
	first := put(t, j, "lease.default.3", "a", 0, 0)
	conflict("create what is there", write(0))
	second := put(t, j, "lease.default.3", "b", first, 0)
	conflict("change of an old revision", write(first))
	if e := get(t, j, "lease.default.3"); string(e.value) != "b" || e.revision != second || e.key != "lease.default.3" {
		t.Errorf("got %+v", e)
	}
	conflict("delete an old revision", j.Delete(deadline(t), "lease.default.3", first))
	if err := j.Delete(deadline(t), "lease.default.3", second); err != nil {
		t.Fatal(err)
	}
	if e := get(t, j, "lease.default.3"); e.revision != 0 || e.value != nil {
		t.Errorf("deleted, got %+v", e)
	}
	conflict("change what was deleted", write(second))
	put(t, j, "lease.default.3", "c", 0, 0)
	for _, key := range []string{"", ".", "a..b", "a.*", "a.>", "a b", "a."} {
		if _, err := j.Put(deadline(t), key, nil, 0, 0); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
}

// watched collects what a watch tells.
type watched struct {
	mu     sync.Mutex
	told   []string
	synced int
}

func watch(ctx context.Context, j *jetStream, prefixes ...string) (*watched, <-chan error) {
	w, out := &watched{}, make(chan error, 1)
	go func() {
		out <- j.Watch(ctx, prefixes, func(e entry) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if e.revision == 0 {
				w.told = append(w.told, e.key+" gone")
			} else {
				w.told = append(w.told, e.key+"="+string(e.value))
			}
		}, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.synced++
			w.told = append(w.told, "synced")
		})
	}()
	return w, out
}

func (w *watched) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.told...)
}

func (w *watched) wait(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " changes"), func() error { return fmt.Errorf("told %q", w.list()) }, func() bool { return len(w.list()) >= n })
}

func TestWatch(t *testing.T) {
	s := startServer(t)
	j := open(t, s.options())
	lease := put(t, j, "lease.a.0", "1", 0, 0)
	put(t, j, "node.x", "x", 0, 0)
	put(t, j, "cursor.a.0", "not watched", 0, 0)
	lease = put(t, j, "lease.a.0", "2", lease, 0)

	ctx, cancel := context.WithCancel(t.Context())
	w, end := watch(ctx, j, "lease.", "node.")
	w.wait(t, 3)
	put(t, j, "cursor.a.1", "not watched", 0, 0)
	put(t, j, "node.y", "y", 0, 0)
	if err := j.Delete(deadline(t), "lease.a.0", lease); err != nil {
		t.Fatal(err)
	}
	w.wait(t, 5)
	want := []string{"node.x=x", "lease.a.0=2", "synced", "node.y=y", "lease.a.0 gone"}
	if diff := cmp.Diff(want, w.list()); diff != "" {
		t.Error(diff)
	}
	cancel()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}

	// With nothing there it is synced as well, and once.
	w, end = watch(t.Context(), j, "pause.")
	w.wait(t, 1)
	put(t, j, "pause.a", "1", 0, 0)
	w.wait(t, 2)
	if diff := cmp.Diff([]string{"synced", "pause.a=1"}, w.list()); diff != "" {
		t.Error(diff)
	}
	s.restart()
	if err := <-end; !errors.Is(err, errNotReady) {
		t.Errorf("after a lost connection: %v", err)
	}
	if w.synced != 1 {
		t.Errorf("synced %d times", w.synced)
	}
}

// A key that is written again in time stays, and one that is not goes: the watch
// reports it, and the key can be made again.
func TestKeyExpires(t *testing.T) {
	j := open(t, startServer(t).options())
	w, _ := watch(t.Context(), j, "node.")
	w.wait(t, 1)
	const ttl = 5 * time.Second // longer than a watch waits for a sign of the server
	begun := time.Now()
	put(t, j, "node.stays", "1", 0, 0)
	put(t, j, "node.x", "1", 0, ttl)
	w.wait(t, 4)
	if lasted := time.Since(begun); lasted < ttl-time.Second {
		t.Errorf("it lasted %v", lasted)
	}
	if diff := cmp.Diff([]string{"synced", "node.stays=1", "node.x=1", "node.x gone"}, w.list()); diff != "" {
		t.Error(diff)
	}
	if e := get(t, j, "node.x"); e.revision != 0 {
		t.Errorf("it is still there: %+v", e)
	}
	again := put(t, j, "node.x", "2", 0, ttl)
	if _, err := j.Put(deadline(t), "node.x", nil, 0, 0); !errors.Is(err, errConflict) {
		t.Errorf("it was made twice: %v", err)
	}
	put(t, j, "node.x", "3", again, time.Second)
	w.wait(t, 7)
	if diff := cmp.Diff([]string{"node.x=2", "node.x=3", "node.x gone"}, w.list()[4:]); diff != "" {
		t.Error(diff)
	}
}
