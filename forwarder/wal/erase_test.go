package wal

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

// What is held of a visitor goes, is counted by class, and nothing else does.
func TestDropHeld(t *testing.T) {
	d := newDisk()
	d.free.Store(0)
	l := open(t, quick(t.TempDir()), d.use)
	until(t, "the log holds", func() bool { return l.Stats().Condition == Held })
	for i := range 9000 {
		mustAppend(t, l, fmt.Sprint("d/", i%3), uint8(i%Classes), fmt.Sprintf("visitor %d record %d", i%10, i))
	}
	mine := func(_ string, rec []byte) bool { return bytes.HasPrefix(rec, []byte("visitor 7 ")) }
	before := l.Stats().RingBytes
	if got, want := l.DropHeld(mine), [Classes]uint64{300, 300, 300}; got != want || l.Stats().Erased != want {
		t.Errorf("dropped %v, counted %v, want %v", got, l.Stats().Erased, want)
	}
	if got := l.DropHeld(mine); got != [Classes]uint64{} {
		t.Errorf("dropped %v again", got)
	}
	if after := l.Stats().RingBytes; after >= before || after <= before*8/10 {
		t.Errorf("%d bytes of %d are left", after, before)
	}
	d.free.Store(1 << 40)
	mustFlush(t, l)
	n := 0
	for _, lane := range l.Lanes() {
		for _, r := range drain(t, l, lane, 0) {
			n++
			if mine(lane, r.Data) {
				t.Fatalf("%s was committed", r.Data)
			}
		}
	}
	if s := l.Stats(); n != 8100 || s.Committed != 8100 || s.RingBytes != 0 {
		t.Errorf("read %d, committed %d, %d bytes left", n, s.Committed, s.RingBytes)
	}
}

// Erasing beside a log at work: each record is either dropped or committed.
func TestDropHeldWhileCommitting(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	const each = 20_000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range each {
			mustAppend(t, l, "a", uint8(i%Classes), fmt.Sprint(i))
		}
	})
	var dropped uint64
	for range 50 {
		for _, n := range l.DropHeld(func(_ string, rec []byte) bool { return rec[len(rec)-1] == '7' }) {
			dropped += n
		}
	}
	wg.Wait()
	mustFlush(t, l)
	if s := l.Stats(); s.Committed+dropped != each || uint64(len(drain(t, l, "a", 0))) != s.Committed || s.RingBytes != 0 {
		t.Errorf("dropped %d, committed %d, %d bytes left", dropped, s.Committed, s.RingBytes)
	}
}
