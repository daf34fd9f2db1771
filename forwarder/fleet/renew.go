package fleet

import (
	"context"
	"errors"
	"time"
)

// renew keeps the session.
func (f *Fleet) renew() {
	t := time.NewTicker(f.o.Lease / 3)
	defer t.Stop()
	retry := time.NewTimer(f.o.Lease)
	defer retry.Stop()
	for {
		had := f.session.current()
		ctx, cancel := context.WithTimeout(f.ctx, f.o.Lease/3)
		err := f.fits()
		if err == nil {
			err = f.mayRenew()
		}
		if err == nil {
			err = f.session.renew(ctx)
		}
		cancel()
		if !errors.Is(err, errUnsynced) { // what is behind that is told as such
			f.trouble("session", err)
		}
		if had == "" && f.session.current() != "" {
			f.wakeMovers()
			nudge(f.poke)
		}
		if err != nil {
			retry.Reset(f.o.Lease / 20)
		}
		select {
		case <-t.C:
		case <-retry.C:
		case <-f.erased.applied:
		case <-f.ctx.Done():
			return
		}
	}
}

// fits is nil once the broker's streams were found to be as this node wants them.
// From then on each request tells by itself what does not work: a lane whose stream
// has no leader for a while is no reason to give the others up.
func (f *Fleet) fits() error {
	if f.fit.Load() {
		return nil
	}
	err := f.b.Ready()
	f.fit.Store(err == nil)
	return err
}

// mayRenew is nil while the node does its part. One that does not know what the
// others do for longer than a lease has no session: the lanes that would be its
// share are for those that can deliver them.
func (f *Fleet) mayRenew() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.synced {
		f.syncedAt = time.Now()
	} else if f.session.current() == "" || time.Since(f.syncedAt) > f.o.Lease {
		return errUnsynced
	}
	return nil
}

var errUnsynced = errors.New("this node does not follow the fleet")

// sessionLost gives all lanes up: another node may have them already.
func (f *Fleet) sessionLost() {
	f.mu.Lock()
	lanes := make([]*owned, 0, len(f.lanes))
	for _, o := range f.lanes {
		lanes = append(lanes, o)
	}
	closing := f.closing
	f.mu.Unlock()
	if closing {
		return
	}
	if len(lanes) > 0 {
		f.log.Warn("this node has lost all its lanes: the broker was not reached within the lease", "lanes", len(lanes))
	}
	for _, o := range lanes {
		f.lose(o, nil)
	}
}
