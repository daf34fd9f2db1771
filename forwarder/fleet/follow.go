package fleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// waitReady waits for d, or until a broker that was not ready is.
func (f *Fleet) waitReady(err error, d time.Duration) {
	const step = 50 * time.Millisecond
	for ; d > 0 && wait(f.ctx, min(d, step)); d -= step {
		if errors.Is(err, errNotReady) && f.b.Ready() == nil {
			return
		}
	}
}

// follow keeps the view up to date until the connection is lost.
func (f *Fleet) follow() error {
	if err := f.fits(); err != nil {
		return err
	}
	if err := f.meet(); err != nil {
		return err
	}
	f.view.begin()
	f.erased.begin()
	f.session.unapply()
	watch := new(byte)
	f.mu.Lock()
	f.watch = watch
	f.mu.Unlock()
	return f.b.Watch(f.ctx, []string{nodePrefix, memberPrefix, leasePrefix, pausePrefix, erasePrefix}, f.changed, func() { f.complete(watch) })
}

// meet reads the fleet's key, or makes it.
func (f *Fleet) meet() error {
	ctx, cancel := context.WithTimeout(f.ctx, requestWait)
	defer cancel()
	e, err := f.b.Get(ctx, secretKey)
	if err == nil && e.revision == 0 {
		key := make([]byte, 32)
		if known := f.key.Load(); known != nil {
			key = *known // the bucket was made anew, and tombstones are of this key
		} else if _, err = rand.Read(key); err != nil {
			return err
		}
		var sealed []byte
		if sealed, err = f.codec.encode(0, "", key); err != nil {
			return err
		}
		if _, err = f.b.Put(ctx, secretKey, sealed, 0, 0); err == nil || errors.Is(err, errConflict) || errors.Is(err, errUnknown) {
			e, err = f.b.Get(ctx, secretKey) // it may be another node's
		}
	}
	if err != nil {
		return err
	}
	_, _, key, err := f.codec.decode(e.value)
	if err != nil {
		return fmt.Errorf("the fleet's key cannot be read: all nodes need the same encryption_key: %w", err)
	}
	if !f.codec.isCurrent(e.value) {
		// So that an old encryption key is not needed for it for ever.
		if sealed, err := f.codec.encode(0, "", key); err == nil {
			_, _ = f.b.Put(ctx, secretKey, sealed, e.revision, 0) // another node may have done it
		}
	}
	f.key.Store(&key)
	f.erased.register.Share(key)
	return nil
}

func (f *Fleet) secret() []byte { return *f.key.Load() }

// changed takes a change of a key over.
func (f *Fleet) changed(e entry) {
	f.view.change(e)
	switch {
	case e.key == nodeKey(f.o.Node) && e.revision != 0:
		// Who erases from here on knows of this session. What was erased before is
		// applied before anything is handed over.
		f.work.Go(func() {
			if f.applyErasures() {
				f.admit(e)
			}
		})
	case strings.HasPrefix(e.key, erasePrefix):
		f.erased.note(e)
		f.mu.Lock()
		synced := f.synced
		f.mu.Unlock()
		if synced {
			f.work.Go(func() { f.applyErasures() })
		}
	case strings.HasPrefix(e.key, pausePrefix), strings.HasPrefix(e.key, leasePrefix):
		_, name, _ := strings.Cut(e.key, ".")
		destination, _, _ := strings.Cut(name, ".")
		f.mu.Lock()
		if f.synced {
			f.tellPauseLocked(destination) // another node may lead now
		}
		f.mu.Unlock()
		f.leased(e)
	}
	nudge(f.poke)
}

// admit says that the session of this node's key may hand events over.
func (f *Fleet) admit(e entry) {
	var v sessionValue
	if json.Unmarshal(e.value, &v) != nil {
		return
	}
	f.mu.Lock()
	news := f.admitted != v.Session
	f.admitted = v.Session
	f.mu.Unlock()
	if news {
		f.wakeMovers()
	}
}

// complete says that the view is, as that watch has told it.
func (f *Fleet) complete(watch *byte) {
	f.view.complete()
	f.erased.toldAll()
	f.work.Go(func() {
		if !f.applyErasures() {
			return
		}
		f.mu.Lock()
		f.synced = f.watch == watch
		for _, destination := range f.serving {
			f.tellPauseLocked(destination)
		}
		f.mu.Unlock()
		f.trouble("watch", nil)
		nudge(f.erased.applied) // the session can be made now
		f.wakeMovers()
		nudge(f.poke)
	})
}

func (f *Fleet) unsynced() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced, f.watch = false, nil
}
