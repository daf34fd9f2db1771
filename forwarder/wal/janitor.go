package wal

import (
	"sort"
	"time"
)

// maxOpenSealed is how many generations beside the active one stay open. One
// is drained at a time as a rule; a second lets a lane that lags behind go on
// without opening and closing at each turn.
const maxOpenSealed = 2

// tidyLoop is the janitor goroutine: it removes drained generations, puts
// broken ones aside, drops what is too old and closes idle ones, off the writer's path.
func (l *Log) tidyLoop() {
	timer := time.NewTimer(l.opt.MaxAge)
	defer timer.Stop()
	for {
		select {
		case <-l.closing:
			return
		case <-l.tidyUp:
		case <-timer.C:
		}
		if l.isPrepared() {
			l.tidy()
			timer.Reset(l.expire(l.now()))
		}
	}
}

func (l *Log) tidy() {
	l.mu.Lock()
	var broken, drained, rest []*generation
	for _, g := range l.gens {
		switch {
		case g == l.active:
		case g.broken.Load():
			broken = append(broken, g)
		case l.isDrainedLocked(g):
			drained = append(drained, g)
		default:
			rest = append(rest, g)
		}
	}
	l.mu.Unlock()
	for _, g := range broken {
		if err := l.quarantine(g, errDamaged); err != nil {
			l.log.Error("a damaged generation cannot be moved aside", "error", err)
		}
	}
	for _, g := range drained {
		if err := l.removeGeneration(g); err != nil {
			l.log.Error("a drained generation cannot be removed", "error", err)
		}
	}
	l.closeIdle(rest)
}

// closeIdle closes the generations of gens that were not used for longest.
func (l *Log) closeIdle(gens []*generation) {
	var open []*generation
	for _, g := range gens {
		g.mu.RLock()
		if g.db != nil {
			open = append(open, g)
		}
		g.mu.RUnlock()
	}
	if len(open) <= maxOpenSealed {
		return
	}
	sort.Slice(open, func(i, j int) bool { return open[i].used.Load() < open[j].used.Load() })
	for _, g := range open[:len(open)-maxOpenSealed] {
		g.mu.Lock()
		if err := l.closeGeneration(g); err != nil {
			l.log.Warn("a generation does not close cleanly", "error", err)
		}
		g.mu.Unlock()
	}
}
