//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/caddy"
	"github.com/intilery/caddy-intilery/bench/internal/measure"
	"github.com/intilery/caddy-intilery/forwarder"
)

// outage starts Caddy with the backlog while Intilery is down, and reports how
// long that takes and how much memory it holds.
func outage(ctx context.Context, o options, opt caddy.Options, plain *caddy.Process, count int) (err error) {
	c, err := caddy.Start(ctx, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	ready, err := waitReady(ctx, c)
	if err != nil {
		return err
	}
	pending, _, err := c.Metric(ctx, `caddy_intilery_events_pending{destination="default"}`)
	if err != nil {
		return err
	}
	fmt.Printf("start: %.2f s to the site's first answer (%.2f s for a plain Caddy), %.2f s until the queue is ready with %.0f of %d events\n",
		c.Answered.Seconds(), plain.Answered.Seconds(), ready.Seconds(), pending, count)
	peak, err := watch(ctx, c, o.watched)
	if err != nil {
		return err
	}
	return memory("after "+o.watched.String(), c, plain, peak)
}

// waitReady returns how long after the start the log was open.
func waitReady(ctx context.Context, c *caddy.Process) (time.Duration, error) {
	for {
		v, _, err := c.Metric(ctx, `caddy_intilery_log_condition{condition="ok"}`)
		if err != nil {
			return 0, err
		}
		if v == 1 {
			return time.Since(c.Started), nil
		}
		if time.Since(c.Started) > 2*time.Minute {
			return 0, fmt.Errorf("the queue is not ready after 2 minutes; log: %v", c.Complaints(5))
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// watch samples memory for a time and returns the greatest RSS.
func watch(ctx context.Context, c *caddy.Process, d time.Duration) (peak int64, err error) {
	end := time.After(d)
	for {
		m, err := measure.RAM(c.PID())
		if err != nil {
			return 0, err
		}
		peak = max(peak, m.RSS)
		select {
		case <-time.After(50 * time.Millisecond):
		case <-end:
			return peak, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func memory(when string, c, plain *caddy.Process, peak int64) error {
	a, err := measure.RAM(plain.PID())
	if err != nil {
		return err
	}
	b, err := measure.RAM(c.PID())
	if err != nil {
		return err
	}
	fmt.Printf("memory, %s: RSS %.1f MiB over plain Caddy at the end and %.1f at its peak; anonymous %.1f\n",
		when, float64(b.RSS-a.RSS)/mib, float64(peak-a.RSS)/mib, float64(b.Anon-a.Anon)/mib)
	return nil
}

// maxBody is the size in bytes to which the forwarder fills a request.
const maxBody = 950_000

// drain starts Caddy with the backlog and an Intilery that accepts, and reports
// how fast it goes there.
func drain(ctx context.Context, o options, opt caddy.Options, plain *caddy.Process, rec *receiver, count int) (err error) {
	c, err := caddy.Start(ctx, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	profiled := make(chan error, 1)
	if o.profile != "" {
		go func() { profiled <- c.Profile(ctx, 10*time.Second, o.profile) }()
	} else {
		profiled <- nil
	}
	var peak int64
	for last, since := 0, time.Now(); last < count && time.Since(since) < 30*time.Second; {
		m, err := measure.RAM(c.PID())
		if err != nil {
			return err
		}
		peak = max(peak, m.RSS)
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		if n := rec.received(); n != last {
			last, since = n, time.Now()
		}
	}
	if err := <-profiled; err != nil {
		return err
	}
	cpu, err := measure.CPU(c.PID())
	if err != nil {
		return err
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	took := rec.last.Sub(rec.first).Seconds()
	permitted := forwarder.DefaultBurst + forwarder.DefaultRate*took
	fmt.Printf("drain: %d of %d events in %.1f s and %d requests: %.0f events/s, %.1f requests/s, %.1f %% of each request filled\n",
		rec.events, count, took, rec.requests, float64(rec.events)/took, float64(rec.requests)/took,
		100*float64(rec.bytes)/float64(rec.requests)/maxBody)
	fmt.Printf("drain: %.3f of the %.0f requests that %d/s with a burst of %d permit in that time; CPU %.1f µs/event; load average %s\n",
		float64(rec.requests)/permitted, permitted, forwarder.DefaultRate, forwarder.DefaultBurst,
		float64(cpu.Microseconds())/float64(max(rec.events, 1)), measure.LoadAverage())
	return memory("draining", c, plain, peak)
}
