package forwarder

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Bounds of what withdrawals can cost. They are far above what visitors do, and
// there for those who send the same request over and over.
const (
	// withdrawRate is how many visitors are erased in a second, after the first
	// withdrawBurst.
	withdrawRate  = 10
	withdrawBurst = 100
	// maxWithdrawn bounds the memory of visitors of whom nothing was captured since
	// they were erased. Those that it forgets are erased once more if they come.
	maxWithdrawn = 1 << 16
	// maxErasedPlaces bounds the tombstones, in memory and on disk, by their places
	// in lanes: one for each destination. In an outage none of them goes.
	maxErasedPlaces = 100_000
	// withdrawnFor is how long a node of a fleet does not erase a visitor again.
	withdrawnFor = 10 * time.Second
)

// ErrTooManyWithdrawals: visitors withdraw faster than they may be erased, or more
// of them than may be remembered. Nothing was erased.
var ErrTooManyWithdrawals = errors.New("too many visitors withdraw their consent")

// Withdraw removes the undelivered events that carry an anonymousId, as Erase
// does, at a cost that depends neither on what is pending nor on earlier
// erasures. It is for visitors who withdraw their consent, and anybody can have a
// request sent again and again: so it does nothing, at once, when nothing was
// captured of the visitor since they were erased last by this process, and then
// erased is false. Nor does it count what it removes, and it writes nothing to the
// audit file. Dead letters are read only if there may be some of the visitor.
//
// Erasures have a rate. Withdraw waits for its turn; with ErrTooManyWithdrawals it
// would have to wait longer than ctx allows. On any error some of the events may
// be left, and Withdraw should be called again. Other errors are those of Erase.
func (f *Forwarder) Withdraw(ctx context.Context, anonymousID string) (erased bool, err error) {
	who := erasure.Subject{AnonymousID: anonymousID}
	if err := who.Validate(); err != nil {
		return false, err
	}
	defer f.shared.forget(who.Is)
	w := f.withdrawn
	if w.has(anonymousID, f.inFleet()) {
		return false, nil
	}
	if err := w.rate.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return false, fmt.Errorf("%w: %w", ErrTooManyWithdrawals, err)
	}
	s, done, err := f.maintain(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	if w.has(anonymousID, s.fleet != nil) { // by another call, meanwhile
		return false, nil
	}
	w.begin(anonymousID)
	defer func() { w.end(err == nil) }()
	is := func(ev []byte) bool { return event.IsStored(ev) && who.Is(event.Stored(ev).IDs()) }
	f.dropUnrouted(is)
	switch _, _, err := s.erase(ctx, who, maxErasedPlaces, f.names()); {
	case errors.Is(err, erasure.ErrFull):
		return false, fmt.Errorf("%w: %w", ErrTooManyWithdrawals, err)
	case err != nil:
		s.queue.Drop(is) // costs what is in memory; while the disk takes nothing, that may be all there is of them
		return false, fmt.Errorf("withdraw: %w", err)
	}
	if _, err := s.files.PurgeVisitor(anonymousID); err != nil {
		return false, fmt.Errorf("withdraw: %w", err)
	}
	return true, nil
}

// withdrawn knows visitors of whom nothing was captured since Withdraw has erased
// them. It keeps hashes: two visitors who share one by chance, in 2^64, would be
// taken for one, and nobody can choose them, because the seed is the process's own.
//
// Capture reports an event when it is in the queue. Then either Withdraw finds it
// there, or the report comes after begin and the visitor is not remembered.
type withdrawn struct {
	rate *rate.Limiter
	seed maphash.Seed
	any  atomic.Bool // there is somebody to be looked for; only set while mu is held

	mu       sync.Mutex
	erased   map[uint64]time.Time // and when
	erasing  bool                 // from begin to end
	current  uint64               // who is being erased
	captured bool                 // something of them, since begin
}

func newWithdrawn() *withdrawn {
	return &withdrawn{
		rate: rate.NewLimiter(withdrawRate, withdrawBurst), seed: maphash.MakeSeed(), erased: make(map[uint64]time.Time),
	}
}

// has reports whether a visitor need not be erased. Of a fleet, another node may
// have captured something since.
func (w *withdrawn) has(anonymousID string, fleet bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.erased[maphash.String(w.seed, anonymousID)]
	return ok && (!fleet || time.Since(at) < withdrawnFor)
}

// begin says that a visitor is being erased, one at a time.
func (w *withdrawn) begin(anonymousID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.erasing, w.current, w.captured = true, maphash.String(w.seed, anonymousID), false
	w.any.Store(true)
}

// end says whether the visitor was erased.
func (w *withdrawn) end(done bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.erasing = false
	if done && !w.captured {
		for id := range w.erased {
			if len(w.erased) < maxWithdrawn {
				break
			}
			delete(w.erased, id) // any one: it is erased once more at worst
		}
		w.erased[w.current] = time.Now()
	}
	w.any.Store(len(w.erased) > 0)
}

// capture says that an event of a visitor has come into the queue.
func (w *withdrawn) capture(anonymousID string) {
	if !w.any.Load() {
		return
	}
	id := maphash.String(w.seed, anonymousID)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.erased, id)
	if w.erasing && w.current == id {
		w.captured = true
	}
}
