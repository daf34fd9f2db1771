package forwarder

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// disk is what the process has had to do with files.
type disk struct{ readBytes, writtenBytes, writes int64 }

// diskUse reads proc_pid_io(5).
func diskUse(t *testing.T) (d disk) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	var reads int64
	if _, err := fmt.Sscanf(string(text), "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d", &d.readBytes, &d.writtenBytes, &reads, &d.writes); err != nil {
		t.Fatal(err)
	}
	return d
}

// used calls f and returns what it has read and written. Left out is as much as
// diskUse reads itself, and the runtime writes to wake its poller.
func used(t *testing.T, f func()) disk {
	t.Helper()
	before := diskUse(t)
	f()
	after := diskUse(t)
	const few = 20
	return disk{
		readBytes:    max(0, after.readBytes-before.readBytes-1024),
		writtenBytes: max(0, after.writtenBytes-before.writtenBytes-8*few), writes: max(0, after.writes-before.writes-few),
	}
}

// oneLineEach reports whether that is what so many withdrawals may use at most: a
// line of 200 bytes, and none read. Where results are cached, the go command has
// each file that is opened written down, in writes of 4 KB; that is allowed for.
func (d disk) oneLineEach(withdrawals int64) bool {
	return d.readBytes == 0 && d.writtenBytes <= 600*withdrawals && d.writes <= withdrawals+withdrawals/10
}

// TestWithdrawReplayed: one visitor's withdrawal that is sent again and again
// (field: 2,593 in 32 s, 890 MB written) costs nothing; with an event before each,
// the same as the first.
func TestWithdrawReplayed(t *testing.T) {
	const replays, n = 2593, 600
	bubble(t, always(status(503)), func(r *rig) {
		r.Stop("test") // nothing is read to be sent
		r.track(secretID, "gone")
		r.withdraw(secretID, true)
		if got := used(t, func() {
			for range replays {
				r.withdraw(secretID, false)
			}
		}); got != (disk{}) {
			t.Errorf("%d replays: %+v, want nothing", replays, got)
		}
		each := used(t, func() {
			for range n {
				r.track(secretID, "gone")
				r.withdraw(secretID, true)
			}
		})
		if !each.oneLineEach(n) {
			t.Errorf("%d erasures: %+v; want one short line each", n, each)
		}
		text, err := os.ReadFile(filepath.Join(r.dir, tombstoneFile))
		if lines := bytes.Count(text, []byte{'\n'}); err != nil || lines > 300 {
			t.Errorf("%d lines for one visitor, %v", lines, err)
		}
		if _, err := os.Stat(filepath.Join(r.dir, auditFile)); !os.IsNotExist(err) {
			t.Errorf("audit: %v", err)
		}
	})
}

// TestWithdrawCost: the cost of a withdrawal depends neither on what is pending in
// the visitor's lane, nor on earlier erasures, nor on others' dead letters.
func TestWithdrawCost(t *testing.T) {
	const n = 50
	type use struct {
		disk
		queueReads, queueDrops int
	}
	cost := func(t *testing.T, backlog, earlier, letters int) (u use) {
		bubble(t, always(ok), func(r *rig) {
			r.Stop("test") // nothing is read to be sent
			for range letters {
				letter := deadletter.Letter{Destination: "main", Reason: "rejected", Event: stored(t)}
				if _, err := r.shared.letters.Add(&letter, nil); err != nil {
					t.Fatal(err)
				}
			}
			other := laneMate(&event.Event{AnonymousID: secretID})
			other.Name = "pending"
			for range backlog {
				r.capture(other)
			}
			for i := range earlier {
				r.track(fmt.Sprint("earlier", i), "gone")
				r.withdraw(fmt.Sprint("earlier", i), true)
			}
			r.track(secretID, "gone")
			r.withdraw(secretID, true) // has looked who has dead letters
			before := r.log.reads
			u.disk = used(t, func() {
				for range n {
					r.track(secretID, "gone")
					r.withdraw(secretID, true)
				}
			})
			u.queueReads, u.queueDrops = r.log.reads-before, r.log.drops
			if list, err := r.DeadLetters(deadletter.Filter{}, 1); err != nil || list.Matched != letters {
				t.Errorf("%d dead letters, want %d; %v", list.Matched, letters, err)
			}
		})
		return u
	}
	for name, c := range map[string]struct{ backlog, earlier, letters int }{
		"nothing":          {0, 0, 0},
		"backlog":          {500, 0, 0},
		"earlier erasures": {0, 500, 0},
		"dead letters":     {0, 0, 300},
	} {
		t.Run(name, func(t *testing.T) {
			got := cost(t, c.backlog, c.earlier, c.letters)
			if !got.oneLineEach(n) || got.queueReads > 0 || got.queueDrops > 0 {
				t.Errorf("%d withdrawals: %+v; want one short line each", n, got)
			}
		})
	}
}
