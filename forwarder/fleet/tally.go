package fleet

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Account is what a node has counted of events. Counters begin at zero with the
// process and never fall.
type Account struct {
	// HandedOver counts events that this node has put into streams, and TakenBack
	// those of them that the broker lost and that this node still had: they are in
	// its backlog again, and are handed over again.
	HandedOver, TakenBack uint64
	// Erased counts events that this node has not handed over because their visitor
	// was erased, by class, and Dropped those that it could not, because they are no
	// events or cannot be encrypted.
	Erased  [queue.Classes]uint64
	Dropped uint64
	// LostBroker counts events that the broker lost when this node had let them go,
	// LostExpired those that waited in a stream longer than the maximum age, and
	// LostDamaged those in a stream that cannot be read. The last two are of lanes
	// that this node delivers, whichever node has captured the events.
	LostBroker, LostExpired, LostDamaged uint64
}

func (a *Account) add(b Account) {
	a.HandedOver += b.HandedOver
	a.TakenBack += b.TakenBack
	for class, n := range b.Erased {
		a.Erased[class] += n
	}
	a.Dropped += b.Dropped
	a.LostBroker += b.LostBroker
	a.LostExpired += b.LostExpired
	a.LostDamaged += b.LostDamaged
}

// tally counts the events of a destination. It outlives the lanes that are moved and
// owned, so that no counter falls.
type tally struct {
	handed, returned atomic.Uint64
	erased           [queue.Classes]atomic.Uint64
	dropped          atomic.Uint64
	lost             struct{ broker, expired, damaged atomic.Uint64 }
}

func (t *tally) account() Account {
	a := Account{
		HandedOver: t.handed.Load(), TakenBack: t.returned.Load(), Dropped: t.dropped.Load(),
		LostBroker: t.lost.broker.Load(), LostExpired: t.lost.expired.Load(), LostDamaged: t.lost.damaged.Load(),
	}
	for class := range t.erased {
		a.Erased[class] = t.erased[class].Load()
	}
	return a
}

// takeBack counts what was handed over and is in the backlog again.
func (t *tally) takeBack(marks []mark) {
	for _, k := range marks {
		t.returned.Add(uint64(k.events))
	}
}

// tallies are those of all destinations. The zero value is ready.
type tallies struct {
	mu sync.Mutex
	of map[string]*tally
}

// lane returns the tally in which a lane's events are counted.
func (t *tallies) lane(name string) *tally {
	destination, _, _ := strings.Cut(name, "/")
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = make(map[string]*tally)
	}
	if t.of[destination] == nil {
		t.of[destination] = new(tally)
	}
	return t.of[destination]
}

func (t *tallies) stats(s *Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Destinations = make(map[string]Account, len(t.of))
	for name, tally := range t.of {
		a := tally.account()
		s.Destinations[name] = a
		s.Account.add(a)
	}
}
