package forwarder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// dead fills a rig with dead letters: events "bad0" to "bad<n-1>" of visitors
// v0, v1, v2 in turn, with messageIds m0, m1, ...
func (r *rig) dead(n int) {
	r.t.Helper()
	for i := range n {
		r.capture(Event{Type: Track, Name: fmt.Sprint("bad", i), AnonymousID: fmt.Sprint("v", i%3), MessageID: fmt.Sprint("m", i)})
		r.after(time.Minute)
	}
	if s := r.main(); s.DeadLettered.Sum() != uint64(n) {
		r.t.Fatalf("stats %+v", s)
	}
}

func refuseBad(r *request) reply {
	for _, c := range r.calls {
		if strings.HasPrefix(c.Event, "bad") {
			return reply{status: 400, body: `{"success":false,"message":"no"}`}
		}
	}
	return ok
}

func (r *rig) letters(f DeadLetterFilter) []string {
	r.t.Helper()
	list, err := r.DeadLetters(f, 100)
	if err != nil {
		r.t.Fatal(err)
	}
	ids := []string{}
	for _, l := range list.Letters {
		ids = append(ids, messageIDOf(l.Event))
	}
	return ids
}

func TestDeadLettersList(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(6)
		list, err := r.DeadLetters(DeadLetterFilter{}, 2)
		if err != nil || list.Matched != 6 || len(list.Letters) != 2 || messageIDOf(list.Letters[1].Event) != "m5" {
			t.Errorf("%+v, %v", list, err)
		}
		for _, c := range []struct {
			f    DeadLetterFilter
			want []string
		}{
			{DeadLetterFilter{Destination: "main"}, []string{"m0", "m1", "m2", "m3", "m4", "m5"}},
			{DeadLetterFilter{Destination: "other"}, []string{}},
			{DeadLetterFilter{MessageIDs: []string{"m4", "m1", "x"}}, []string{"m1", "m4"}},
		} {
			if got := r.letters(c.f); !slices.Equal(got, c.want) {
				t.Errorf("%+v: %v, want %v", c.f, got, c.want)
			}
		}
	})
}

// TestDeadLettersReplay: a replayed letter is sent with its messageId and
// timestamp, and is no dead letter any more. One that is refused again is one again.
func TestDeadLettersReplay(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(6)
		before := r.rec.list()
		r.rec.becomes(poison(400, "bad2"))
		n, err := r.ReplayDeadLetters(t.Context(), DeadLetterFilter{Destination: "main"})
		if err != nil || n.Replayed != 6 || n.Kept != 0 {
			t.Fatalf("%+v, %v", n, err)
		}
		r.after(time.Minute)
		if got := r.letters(DeadLetterFilter{}); !slices.Equal(got, []string{"m2"}) {
			t.Errorf("left %v", got)
		}
		var ids []string
		for _, q := range r.rec.list()[len(before):] {
			for _, c := range q.calls {
				if q.status == 200 {
					ids = append(ids, c.MessageID)
				}
				for _, old := range before {
					if o := old.calls[0]; o.MessageID == c.MessageID && (!o.Timestamp.Equal(c.Timestamp) || o.AnonymousID != c.AnonymousID) {
						t.Errorf("%+v came back as %+v", o, c)
					}
				}
			}
		}
		if slices.Sort(ids); !slices.Equal(ids, []string{"m0", "m1", "m3", "m4", "m5"}) {
			t.Errorf("sent %v", ids)
		}
		if s := r.Stats(); s.DeadLetters.Lines != 1 {
			t.Errorf("stats %+v", s.DeadLetters)
		}
	})
}

// TestReplayNeverLosesOne: whatever the log does, a letter is in it, or still a
// dead letter.
func TestReplayNeverLosesOne(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(4)
		r.rec.becomes(always(status(503)))
		all := []string{"m0", "m1", "m2", "m3"}

		r.log.flushErr = context.DeadlineExceeded // the disk hangs
		if n, err := r.ReplayDeadLetters(t.Context(), DeadLetterFilter{}); n.Replayed != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", n, err)
		}
		if got := r.letters(DeadLetterFilter{}); !slices.Equal(got, all) {
			t.Errorf("left %v", got)
		}
		r.log.flushErr = nil
		r.log.limit = 1 // the log has no room
		if n, err := r.ReplayDeadLetters(t.Context(), DeadLetterFilter{}); n.Replayed != 0 || !errors.Is(err, ErrShedding) {
			t.Errorf("%+v, %v", n, err)
		}
		if got := r.letters(DeadLetterFilter{}); !slices.Equal(got, all) {
			t.Errorf("left %v", got)
		}
		r.log.limit = 0
		r.log.evict = true // the log takes them, and throws them out for others
		if n, err := r.ReplayDeadLetters(t.Context(), DeadLetterFilter{}); n.Replayed != 0 || !errors.Is(err, ErrShedding) {
			t.Errorf("%+v, %v", n, err)
		}
		if got := r.letters(DeadLetterFilter{}); !slices.Equal(got, all) {
			t.Errorf("left %v", got)
		}
		r.log.evict = false
		r.rec.becomes(always(ok))
		r.after(10 * time.Minute)
	})
}

// TestReplayOfUnknownDestination keeps the letter.
func TestReplayOfUnknownDestination(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		l := letter("x")
		l.Destination = "gone"
		if _, err := r.Forwarder.letters.add(l, nil); err != nil {
			t.Fatal(err)
		}
		if n, err := r.ReplayDeadLetters(t.Context(), DeadLetterFilter{}); err != nil || n.Replayed != 0 || n.Kept != 1 {
			t.Errorf("%+v, %v", n, err)
		}
		if got := r.letters(DeadLetterFilter{}); len(got) != 1 {
			t.Errorf("left %v", got)
		}
	})
}

func TestDeadLettersPurge(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(5)
		if n, err := r.PurgeDeadLetters(DeadLetterFilter{MessageIDs: []string{"m1", "m3"}}); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		r.dead2(5)
		if got := r.letters(DeadLetterFilter{}); !slices.Equal(got, []string{"m0", "m2", "m4", "again"}) {
			t.Errorf("left %v", got)
		}
		if n, err := r.PurgeDeadLetters(DeadLetterFilter{}); n != 4 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if s := r.Stats().DeadLetters; s.Lines != 0 || s.Bytes != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// dead2 adds one more dead letter after n others.
func (r *rig) dead2(n uint64) {
	r.t.Helper()
	r.capture(Event{Type: Track, Name: "bad", AnonymousID: "v", MessageID: "again"})
	r.after(time.Minute)
	if s := r.main(); s.DeadLettered.Sum() != n+1 {
		r.t.Fatalf("stats %+v", s)
	}
}

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// TestDeadLettersSealed: nothing of a letter can be read on disk; keys rotate;
// a wrong key is an error that touches nothing.
func TestDeadLettersSealed(t *testing.T) {
	dir := t.TempDir()
	open := func(keys ...[]byte) *deadLetters {
		ring, err := newSealer(keys)
		if err != nil {
			t.Fatal(err)
		}
		return newDeadLetters(dir, 1<<20, ring)
	}
	add := func(d *deadLetters, message string) {
		if _, err := d.add(letter(message), nil); err != nil {
			t.Fatal(err)
		}
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
	}
	messages := func(d *deadLetters) string {
		list, err := d.list(DeadLetterFilter{}, 10)
		if err != nil {
			return err.Error()
		}
		var m []string
		for _, l := range list.Letters {
			m = append(m, l.Message)
		}
		return strings.Join(m, " ")
	}
	add(open(), "plain")
	add(open(key(1)), "first")
	add(open(key(2), key(1)), "second")
	path := filepath.Join(dir, deadLetterFile)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(before, []byte("timestamp")); n != 1 {
		t.Errorf("%d letters can be read without a key, want 1: %s", n, before)
	}
	if got := messages(open(key(2), key(1))); got != "plain first second" {
		t.Errorf("both keys: %s", got)
	}
	for name, d := range map[string]*deadLetters{"none": open(), "wrong": open(key(9)), "the newer only": open(key(2))} {
		if got := messages(d); got != ErrSealed.Error() {
			t.Errorf("%s: %s", name, got)
		}
		if n, err := d.purge(DeadLetterFilter{}.wants); n != 0 || !errors.Is(err, ErrSealed) {
			t.Errorf("%s: purged %d, %v", name, n, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was touched: %v", err)
	}
	// A damaged line is told apart from a wrong key, and stays.
	const bad = "{\"time\":\n{}\n"
	if err := os.WriteFile(path, append([]byte(bad), before...), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(key(2), key(1))
	if list, err := d.list(DeadLetterFilter{}, 10); err != nil || list.Damaged != 2 || len(list.Letters) != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	if n, err := d.purge(DeadLetterFilter{}.wants); n != 3 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	if left, err := os.ReadFile(path); string(left) != bad {
		t.Errorf("left %q, %v", left, err)
	}
}

func FuzzDecodeLetter(f *testing.F) {
	ring, err := newSealer([][]byte{key(1)})
	if err != nil {
		f.Fatal(err)
	}
	for _, keys := range []sealer{nil, ring} {
		line, err := newDeadLetters("", 1<<20, keys).encode(letter("m"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte(`{"sealed":"`))
	f.Add([]byte(`{"event":{"timestamp":"`))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, keys := range []sealer{nil, ring} {
			l, err := decodeLetter(line, keys)
			if err != nil {
				if !errors.Is(err, ErrSealed) && !errors.Is(err, errBadLine) {
					t.Errorf("an error of its own: %v", err)
				}
				continue
			}
			again, err := newDeadLetters("", 1<<20, keys).encode(l)
			if err != nil {
				t.Fatal(err)
			}
			if m, err := decodeLetter(again, keys); err != nil || m.Message != l.Message || !m.Time.Equal(l.Time) || !bytes.Equal(m.Event, l.Event) {
				t.Errorf("%+v came back as %+v, %v", l, m, err)
			}
			placeOf(l.Event)
			messageIDOf(l.Event)
		}
	})
}

// TestReplayWithAWrongKey replays nothing, not even the letters that it can read.
func TestReplayWithAWrongKey(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(1)
		ring, err := newSealer([][]byte{key(1)})
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := newDeadLetters("", 1<<20, ring).encode(letter("x"))
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(r.dir, deadLetterFile), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(sealed); err != nil {
			t.Fatal(err)
		}
		f.Close()
		before := r.main().Captured
		if n, err := r.ReplayDeadLetters(t.Context(), DeadLetterFilter{}); n.Replayed != 0 || !errors.Is(err, ErrSealed) {
			t.Errorf("%+v, %v", n, err)
		}
		if r.main().Captured != before {
			t.Error("letters went to the log")
		}
	})
}
