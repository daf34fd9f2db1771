//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/load"
	"github.com/intilery/caddy-intilery/bench/internal/measure"
)

const mib = 1 << 20

// idle reports memory and CPU of both before the first request.
func idle(ctx context.Context, sides [2]*side) error {
	const watched = 10 * time.Second
	if err := pause(ctx, 5*time.Second); err != nil { // the queue opens in the background
		return err
	}
	var m [2]measure.Memory
	var cpu [2]time.Duration
	for i, s := range sides {
		var err error
		if cpu[i], err = measure.CPU(s.PID()); err != nil {
			return err
		}
	}
	if err := pause(ctx, watched); err != nil {
		return err
	}
	for i, s := range sides {
		after, err := measure.CPU(s.PID())
		if err != nil {
			return err
		}
		cpu[i] = after - cpu[i]
		if m[i], err = measure.RAM(s.PID()); err != nil {
			return err
		}
	}
	fmt.Printf("\nmemory, idle                 RSS MiB   anonymous MiB\n")
	printMemory(m[0], m[1])
	fmt.Printf("CPU in %v idle: %v without, %v with (in ticks of 10 ms)\n", watched, cpu[0], cpu[1])
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func printMemory(a, b measure.Memory) {
	row := func(name string, rss, anon int64) {
		fmt.Printf("  %-26s %8.1f %15.1f\n", name, float64(rss)/mib, float64(anon)/mib)
	}
	row(without, a.RSS, a.Anon)
	row(with, b.RSS, b.Anon)
	row("with over without", b.RSS-a.RSS, b.Anon-a.Anon)
}

// paced sends documents at a fixed rate and reports memory, latency and CPU.
func paced(ctx context.Context, o options, sides [2]*side, rec *receiver) error {
	var m, peak [2]measure.Memory
	var rounds [2]*round
	for i, s := range sides {
		count := int(o.paced.Seconds() * float64(o.rate))
		l := load.Load{Address: s.Site, Requests: load.InTurn(documents(s.Site, s.cookies)), Count: count, Concurrency: o.concurrency, PerSecond: o.rate}
		r, err := play(ctx, s.Process, l, count, rec)
		if err != nil {
			return err
		}
		rounds[i] = r
		half := len(r.rss) / 2 // the first half warms up
		m[i] = measure.Memory{RSS: measure.Quantile(r.rss[half:], 0.5), Anon: measure.Quantile(r.anon[half:], 0.5)}
		peak[i] = measure.Memory{RSS: measure.Quantile(r.rss, 1), Anon: measure.Quantile(r.anon, 1)}
	}
	fmt.Printf("\nmemory at %d documents/s over %v, median of the second half\n", o.rate, o.paced)
	printMemory(m[0], m[1])
	fmt.Println("the same, peak")
	printMemory(peak[0], peak[1])
	fmt.Printf("at this pace                 CPU µs/request   p50 µs   p99 µs   p99.9 µs   sent/s\n")
	for _, r := range rounds {
		fmt.Printf("  %-26s %15.1f %s %8.0f\n", r.name, r.cpuPerRequest(), quantiles(r.latencies), r.perSecond)
		warnMissing(r)
	}
	return nil
}

func quantiles(lat []int32) string {
	return fmt.Sprintf("%8d %8d %10d", measure.Quantile(lat, 0.5), measure.Quantile(lat, 0.99), measure.Quantile(lat, 0.999))
}

func warnMissing(r *round) {
	if r.missing != 0 {
		fmt.Printf("  %d events of this round did not reach the receiver\n", r.missing)
	}
}

// compare plays rounds in turn, the order changing, after one of each to warm
// up, and reports ratios of neighbours.
func compare(name string, rounds int, sides [2]*side, flood func(*side) (*round, error)) error {
	fmt.Printf("\n%s, as fast as answered\n  round   without/s      with/s   ratio   CPU µs without   with   load\n", name)
	var throughput, cpuWithout, cpuWith, cpuRatio []float64
	var lat [2][]int32
	for n := range rounds + 1 {
		var r [2]*round
		for k := range sides {
			i := (k + n) % 2
			var err error
			if r[i], err = flood(sides[i]); err != nil {
				return err
			}
		}
		if n == 0 {
			continue
		}
		ratio := r[1].perSecond / r[0].perSecond
		throughput = append(throughput, ratio)
		a, b := r[0].cpuPerRequest(), r[1].cpuPerRequest()
		cpuWithout, cpuWith, cpuRatio = append(cpuWithout, a), append(cpuWith, b), append(cpuRatio, b/a)
		for i := range lat {
			lat[i] = append(lat[i], r[i].latencies...)
		}
		fmt.Printf("  %5d %11.0f %11.0f %7.3f %16.1f %6.1f %6s\n", n, r[0].perSecond, r[1].perSecond, ratio, a, b, measure.LoadAverage())
		warnMissing(r[1])
	}
	fmt.Printf("  median ratio of throughput %.3f (%.3f to %.3f)\n", measure.Median(throughput), throughput[0], throughput[len(throughput)-1])
	fmt.Printf("  median CPU µs/request      %.1f without, %.1f with: %.1f more, delivery included; median ratio %.3f\n",
		measure.Median(cpuWithout), measure.Median(cpuWith), measure.Median(cpuWith)-measure.Median(cpuWithout), measure.Median(cpuRatio))
	for i, s := range sides {
		fmt.Printf("  latency %-18s %s   (p50, p99, p99.9 in µs)\n", s.Name, quantiles(lat[i]))
	}
	return nil
}

// peaks reports the greatest memory that each process has had.
func peaks(sides [2]*side) error {
	fmt.Printf("\npeak RSS over everything\n")
	for _, s := range sides {
		m, err := measure.RAM(s.PID())
		if err != nil {
			return err
		}
		fmt.Printf("  %-26s %8.1f MiB\n", s.Name, float64(m.Peak)/mib)
	}
	return nil
}
