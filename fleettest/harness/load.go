package harness

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Load has events captured at a steady rate, and keeps those that nodes have said
// to be durable. Events that a node could not be given, or has not answered for,
// count neither as committed nor as lost.
type Load struct {
	// Nodes take the events.
	Nodes []*Node
	// Rate is that of all events, per second; Visitors is how many there are.
	Rate, Visitors int
	// Bytes is the size of an event, about. Default 600.
	Bytes int
	// Hop sends each event to any node. Without it a visitor stays with one.
	Hop bool

	stop   context.CancelFunc
	done   sync.WaitGroup
	begun  atomic.Int64
	queues []chan []ID

	mu        sync.Mutex
	committed []ID
}

const (
	loadTick    = 10 * time.Millisecond
	loadBacklog = 100 // ticks that a node may be behind; then it is given nothing
)

// Start begins. The load ends with Stop, or with the test.
func (l *Load) Start(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	for _, n := range l.Nodes {
		q := make(chan []ID, loadBacklog)
		l.queues = append(l.queues, q)
		l.done.Go(func() { l.feed(n, q) })
	}
	l.done.Go(func() { l.produce(ctx) })
	t.Cleanup(func() {
		stop()
		for _, n := range l.Nodes {
			n.Kill() // a frozen one would be waited for
		}
		l.done.Wait()
	})
}

// Stop ends the load, and returns when all nodes that run have answered.
func (l *Load) Stop() []ID {
	l.stop()
	l.done.Wait()
	return l.Committed()
}

// Committed are the events that are durable so far.
func (l *Load) Committed() []ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]ID(nil), l.committed...)
}

// Begun is how many events there were, also those that no node was given.
func (l *Load) Begun() int { return int(l.begun.Load()) }

func (l *Load) produce(ctx context.Context) {
	defer func() {
		for _, q := range l.queues {
			close(q)
		}
	}()
	next := make([]int, l.Visitors)
	tick := time.NewTicker(loadTick)
	defer tick.Stop()
	for start, made := time.Now(), 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		groups := make([][]ID, len(l.queues))
		for due := int(time.Since(start).Seconds() * float64(l.Rate)); made < due; made++ {
			// In turn: a visitor's events are as far apart as can be, so that it is plain
			// which comes first when they go to different nodes.
			visitor := made % l.Visitors
			next[visitor]++
			n := visitor % len(l.queues)
			if l.Hop {
				n = rand.IntN(len(l.queues))
			}
			groups[n] = append(groups[n], ID{visitor, next[visitor]})
		}
		for i, ids := range groups {
			if len(ids) == 0 {
				continue
			}
			l.begun.Add(int64(len(ids)))
			select {
			case l.queues[i] <- ids:
			default: // it is frozen
			}
		}
	}
}

// feed gives a node its events, and notes those that it has made durable.
func (l *Load) feed(n *Node, q <-chan []ID) {
	var waits sync.WaitGroup
	defer waits.Wait()
	for ids := range q {
		wait, err := n.begin(ids, l.Bytes)
		if err != nil {
			continue // it does not run
		}
		waits.Go(func() {
			limit, cancel := context.WithTimeout(context.Background(), 40*time.Second)
			defer cancel()
			if wait(limit) != nil {
				return
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.committed = append(l.committed, ids...)
		})
	}
}
