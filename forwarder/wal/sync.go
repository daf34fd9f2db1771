package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// SyncPolicy says when what is committed is also forced onto the disk. It
// decides what a loss of power can cost; the death of the process costs the
// same under each: what is still in the ring.
type SyncPolicy uint8

// The policies. On Windows, all of them are SyncGroup.
const (
	SyncGroup    SyncPolicy = iota // with each group: a loss of power costs what is in the ring
	SyncInterval                   // every SyncEvery: it costs as much as that more
	SyncOS                         // when the system gets to it: about 30 s more on Linux
)

// badgerSyncs says that Badger must sync its own writes, because syncing a file
// does not reach what was written through a memory map.
const badgerSyncs = runtime.GOOS == "windows"

// Badger's own db.Sync leaves memtables out that wait to become tables, and its
// SyncWrites syncs the empty value log and the times of each file with every
// commit. So the log syncs Badger's memtables itself, by path. What has become
// a table was synced by Badger before the memtable went.

// syncMems syncs g's memtables, as far as they can have changed since last time.
func (l *Log) syncMems(g *generation) error {
	if badgerSyncs {
		return nil
	}
	// Badger numbers memtables without gaps and removes the oldest first. So as
	// long as the highest of last time is there, so are all that follow it.
	for n := g.topMem; n > 0; n++ {
		err := l.fsync(filepath.Join(g.dir, fmt.Sprintf("%05d.mem", n)))
		if errors.Is(err, fs.ErrNotExist) {
			if n == g.topMem {
				break
			}
			g.topMem = n - 1
			return nil
		}
		if err != nil {
			return fmt.Errorf("sync a generation: %w", err)
		}
	}
	files, err := os.ReadDir(g.dir)
	if err != nil {
		return fmt.Errorf("sync a generation: %w", err)
	}
	top := g.topMem
	for _, f := range files {
		num, ok := strings.CutSuffix(f.Name(), ".mem")
		n, err := strconv.Atoi(num)
		if !ok || err != nil || n < g.topMem {
			continue
		}
		if err := l.fsync(filepath.Join(g.dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sync a generation: %w", err)
		}
		top = max(top, n)
	}
	g.topMem = top
	return nil
}

// syncAll syncs every file of dir.
func (l *Log) syncAll(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sync a generation: %w", err)
	}
	for _, f := range files {
		if err := l.fsync(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sync a generation: %w", err)
		}
	}
	return syncDir(dir)
}

// vouch syncs what g was found to hold: a killed process may have left it in
// the system's memory only.
func (l *Log) vouch(g *generation) error {
	if err := l.syncAll(g.dir); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, r := range g.ranges {
		g.synced[id] = r.last
	}
	return nil
}

// syncDue notes that g has a commit that is not synced, and when it should be.
func (l *Log) syncDue(g *generation, now time.Time) {
	if l.w.unsynced == nil && l.opt.Sync == SyncInterval {
		l.w.syncAt = now.Add(l.opt.SyncEvery)
	}
	l.w.unsynced = g
}

// settle syncs the generation that has commits which are not, if there is one,
// so that the ledger may vouch for them. After an error nobody knows what the
// disk has: the ledger never vouches for those records, though they can be read
// as long as the machine runs, and the generation takes no more.
func (l *Log) settle() error {
	g := l.w.unsynced
	l.w.unsynced, l.w.syncAt = nil, time.Time{}
	if g == nil {
		return nil
	}
	err := l.syncMems(g)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if l.active == g {
			l.active = nil
		}
		return err
	}
	for id, r := range g.ranges {
		g.synced[id] = r.last
	}
	return nil
}

// settleBefore is settle where the way leads on whatever comes of it.
func (l *Log) settleBefore(what string) {
	if err := l.settle(); err != nil {
		l.log.Error("a generation of the queue cannot be synced", "before", what, "error", err)
	}
}

// vouchedLocked returns what the ledger may say that g holds of a lane: what is
// synced. False when that is nothing.
func (g *generation) vouchedLocked(id uint16, r span) (span, bool) {
	r.last = min(r.last, g.synced[id])
	return r, r.last >= r.first
}
