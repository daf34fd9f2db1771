package fleet

import (
	"context"
	"fmt"
	"time"
)

// Close gives this node's lanes to the others, hands over what is in its log, and
// leaves, as far as ctx allows. The log must take no more events. What is left goes
// on when the node is back.
func (f *Fleet) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closing = true
	for _, o := range f.lanes {
		f.releaseLocked(o)
	}
	f.mu.Unlock()
	f.wakeMovers()
	var err error
	for !f.rests() && err == nil {
		if !wait(ctx, 5*time.Millisecond) {
			err = fmt.Errorf("this node's log still has %d events for the fleet; they are handed over when it is back", f.backlog())
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	f.member.write(ctx, f.backlog(), true)
	_ = f.session.leave(ctx) // it goes by itself
	f.stop()
	f.b.close()
	f.work.Wait()
	return err
}

// rests reports whether this node has nothing left that others could deliver.
func (f *Fleet) rests() bool {
	f.mu.Lock()
	n := len(f.lanes)
	f.mu.Unlock()
	return n == 0 && f.backlog() == 0
}

// backlog is the number of events in the log that are not handed over.
func (f *Fleet) backlog() (n uint64) {
	pending := f.local.Pending()
	for _, m := range f.allMovers() {
		n += pending[m.lane] - min(m.keeps(), pending[m.lane])
	}
	return n
}
