//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/caddy"
	"github.com/intilery/caddy-intilery/bench/internal/load"
	"github.com/intilery/caddy-intilery/bench/internal/measure"
)

// round is what one Caddy did in one run of requests.
type round struct {
	name      string
	requests  int
	perSecond float64
	latencies []int32
	cpu       time.Duration // of Caddy, until everything captured was delivered
	rss, anon []int64       // sampled during the run
	missing   int64         // events expected and not received
}

func (r *round) cpuPerRequest() float64 {
	return float64(r.cpu.Microseconds()) / float64(r.requests)
}

// drainPatience is how long no event may arrive before the rest is given up.
const drainPatience = 10 * time.Second

// play runs l against c. Where the module is in use, it then waits until the receiver has
// as many more events as documents were sent, so that the cost of delivery is
// on the bill of the round that caused it, and not on the next one's.
func play(ctx context.Context, c *caddy.Process, l load.Load, docs int, rec *receiver) (*round, error) {
	before, err := measure.CPU(c.PID())
	if err != nil {
		return nil, err
	}
	seen := rec.events()
	r := &round{name: c.Name, requests: l.Count}
	sampling, stop := context.WithCancel(ctx)
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-sampling.Done():
				tick.Stop()
				return
			case <-tick.C:
				if m, err := measure.RAM(c.PID()); err == nil {
					r.rss, r.anon = append(r.rss, m.RSS), append(r.anon, m.Anon)
				}
			}
		}
	}()
	res, err := l.Run(ctx)
	stop()
	<-sampled
	if err != nil {
		return nil, fmt.Errorf("load on Caddy %s the module: %w", c.Name, err)
	}
	r.latencies = res.Latencies
	r.perSecond = float64(l.Count) / res.Elapsed.Seconds()
	if c.Tracks {
		r.missing = await(ctx, rec, seen+uint64(docs))
	}
	after, err := measure.CPU(c.PID())
	r.cpu = after - before
	return r, err
}

// await waits until the receiver has had target events, or has had no new one
// for a while. It returns how many are missing.
func await(ctx context.Context, rec *receiver, target uint64) int64 {
	last, since := rec.events(), time.Now()
	for ctx.Err() == nil && last < target && time.Since(since) < drainPatience {
		time.Sleep(20 * time.Millisecond)
		if n := rec.events(); n != last {
			last, since = n, time.Now()
		}
	}
	return int64(target) - int64(last)
}
