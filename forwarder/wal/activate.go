package wal

import (
	"runtime"
	"time"
)

// ready makes sure that there is an active generation that may take a group.
func (l *Log) ready(now time.Time) error {
	if !l.isPrepared() {
		if err := l.prepare(); err != nil {
			return err
		}
	}
	for len(l.w.packers) < min(maxPackers, runtime.GOMAXPROCS(0)) {
		p, err := newPacker(l.keys)
		if err != nil {
			return err
		}
		l.w.packers = append(l.w.packers, p)
	}
	if l.active != nil {
		if err := l.weigh(); err != nil {
			return err
		}
	}
	if l.active != nil && !l.rotationDue(now) {
		return nil
	}
	if l.spaceLow() {
		return l.readyToDrain()
	}
	if l.active != nil {
		return l.createGeneration()
	}
	return l.activate(now)
}

// readyToDrain does, while the disk is too full for a new generation, what lets
// readers drain and the janitor remove the ones there are. It returns errHeld,
// or worse.
func (l *Log) readyToDrain() error {
	l.mu.Lock()
	l.active = nil
	var newest *generation
	if n := len(l.gens); n > 0 && l.gens[n-1].unchecked {
		newest = l.gens[n-1]
	}
	l.mu.Unlock()
	nudge(l.tidyUp)
	if newest != nil {
		if err := l.check(newest, false); err != nil {
			return err
		}
	}
	return errHeld
}

func (l *Log) isPrepared() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.prepared
}

// activate makes the newest generation the active one if it is sound and has
// room, and begins a new one otherwise.
func (l *Log) activate(now time.Time) error {
	l.mu.Lock()
	var g *generation
	if n := len(l.gens); n > 0 && l.gens[n-1].unchecked {
		g = l.gens[n-1]
	}
	l.mu.Unlock()
	if g != nil {
		if err := l.check(g, true); err != nil {
			return err
		}
	}
	if l.w.skip {
		l.mu.Lock()
		for _, ln := range l.byID {
			ln.last += seqSkip
		}
		l.mu.Unlock()
		l.w.skip = false
		return l.createGeneration()
	}
	if g == nil {
		return l.createGeneration()
	}
	g.mu.RLock()
	fit := g.db != nil && !g.readOnly
	g.mu.RUnlock()
	if !fit || readKeyFile(g.dir) != l.keys.sealingID() || g.bytes.Load() >= l.opt.GenerationBytes || now.Sub(g.born) >= l.opt.GenerationAge {
		return l.createGeneration()
	}
	l.mu.Lock()
	l.active = g
	for _, ln := range l.lanes {
		nudge(ln.news)
	}
	l.mu.Unlock()
	return nil
}
