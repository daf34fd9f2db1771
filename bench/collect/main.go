//go:build linux

// Command collect compares the collection endpoint, which answers when events are
// durable, with a plain Caddy that only answers (respond), as whole processes on
// one machine: requests and events a second, CPU per request, latency.
//
//	./xcaddy.sh build && cd bench && go run ./collect
//
// Both get the same requests, of 1, 10 and 100 events from many visitors over kept
// connections, in turn and as fast as they answer. The generator shares the machine
// with Caddy, so the ratio of the throughputs understates what the endpoint costs;
// the CPU time of the Caddy process does not. Delivery goes on meanwhile, at the
// rate that Intilery permits.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/caddy"
	"github.com/intilery/caddy-intilery/bench/internal/load"
	"github.com/intilery/caddy-intilery/bench/internal/loopback"
	"github.com/intilery/caddy-intilery/bench/internal/measure"
)

type options struct {
	caddy, dir, profile           string
	rounds, concurrency, visitors int
	events                        int
}

func main() {
	var o options
	flag.StringVar(&o.caddy, "caddy", "../caddy", "the Caddy binary with the module")
	flag.StringVar(&o.dir, "dir", "", "where to keep data while it runs (default: a temporary directory)")
	flag.StringVar(&o.profile, "profile", "", "file for a CPU profile of the endpoint with one event a request")
	flag.IntVar(&o.rounds, "rounds", 9, "rounds of each size for each Caddy")
	flag.IntVar(&o.concurrency, "concurrency", 256, "connections")
	flag.IntVar(&o.visitors, "visitors", 1024, "different visitors")
	flag.IntVar(&o.events, "events", 30_000, "events in a round of one event a request; three times as many in greater ones")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "collect:", err)
		stop()
		os.Exit(1)
	}
}

const (
	plain    = "\trespond `{\"success\":true}`\n"
	endpoint = "\tintilery {\n\t\tpage off\n\t\tcollect /x7 {\n\t\t\tkey public\n\t\t\trate 1e9 1000000000\n\t\t}\n\t}\n\theader Content-Type text/html\n\trespond page\n"
)

func run(ctx context.Context, o options) (err error) {
	if err := caddy.Check(o.caddy); err != nil {
		return err
	}
	if o.rounds < 1 || o.concurrency < 1 || o.visitors < 1 || o.events < 100 {
		return errors.New("-rounds, -concurrency and -visitors must be at least 1, -events 100")
	}
	dir, err := os.MkdirTemp(o.dir, "bench-collect-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sink, closeSink, err := loopback.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a sender that has gone sends again
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"success":true,"eventId":"1"}`)
	}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSink()) }()
	var sides [2]*caddy.Process
	for i, opt := range []caddy.Options{
		{Name: "respond", Site: plain},
		{Name: "collect", Site: endpoint, Receiver: sink},
	} {
		opt.Binary, opt.Dir, opt.Core = o.caddy, dir, -1
		if sides[i], err = caddy.Start(ctx, opt); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sides[i].Stop()) }()
	}
	fmt.Printf("%d CPUs, load average %s, %d connections\n", runtime.NumCPU(), measure.LoadAverage(), o.concurrency)
	visitors, err := meet(ctx, sides[1].Site, o.visitors)
	if err != nil {
		return err
	}
	from := 0 // numbers of events are never used again: a repeat costs less
	for _, n := range []int{1, 10, 100} {
		count := o.events / n
		if n > 1 {
			count *= 3
		}
		if err := compare(ctx, o, sides, n, count, visitors, &from); err != nil {
			return err
		}
	}
	for _, line := range sides[1].Complaints(5) {
		fmt.Println("log of Caddy with the endpoint:", line)
	}
	return nil
}

// compare plays rounds in turn, after one of each to warm up, and reports ratios of
// neighbours.
func compare(ctx context.Context, o options, sides [2]*caddy.Process, n, count int, visitors []visitor, from *int) error {
	fmt.Printf("\n%d events a request\n  round   respond/s   collect/s   ratio   events/s   CPU µs a request: respond   collect\n", n)
	var ratios, more []float64
	var latencies [2][]int32
	flood := func(i int) (perSecond, cpu float64, err error) {
		start := *from
		*from += n * count
		l := load.Load{Address: sides[i].Site, Requests: requests(sides[i].Site, visitors, n, start), Count: count, Concurrency: o.concurrency}
		before, err1 := measure.CPU(sides[i].PID())
		res, err2 := l.Run(ctx)
		after, err3 := measure.CPU(sides[i].PID())
		latencies[i] = append(latencies[i], res.Latencies...)
		return float64(count) / res.Elapsed.Seconds(), float64((after - before).Microseconds()) / float64(count),
			errors.Join(err1, err2, err3)
	}
	if n == 1 && o.profile != "" {
		done := make(chan error, 1)
		go func() { done <- sides[1].Profile(ctx, 10*time.Second, o.profile) }()
		for range 20 {
			if _, _, err := flood(1); err != nil {
				return err
			}
		}
		if err := <-done; err != nil {
			return err
		}
	}
	for round := range o.rounds + 1 {
		var perSecond, cpu [2]float64
		for k := range sides {
			i := (k + round) % 2
			var err error
			if perSecond[i], cpu[i], err = flood(i); err != nil {
				return fmt.Errorf("load on %s: %w", sides[i].Name, err)
			}
		}
		if round == 0 {
			latencies = [2][]int32{}
			continue
		}
		ratio := perSecond[1] / perSecond[0]
		ratios, more = append(ratios, ratio), append(more, cpu[1]-cpu[0])
		fmt.Printf("  %5d %11.0f %11.0f %7.3f %10.0f %27.1f %9.1f\n", round, perSecond[0], perSecond[1], ratio, perSecond[1]*float64(n), cpu[0], cpu[1])
	}
	extra := measure.Median(more)
	fmt.Printf("  median ratio of requests %.3f (%.3f to %.3f); CPU over respond %.1f µs a request, %.1f µs an event\n",
		measure.Median(ratios), ratios[0], ratios[len(ratios)-1], extra, extra/float64(n))
	for i, s := range sides {
		l := latencies[i]
		fmt.Printf("  latency %-8s p50 %d, p99 %d, p99.9 %d µs\n", s.Name, measure.Quantile(l, 0.5), measure.Quantile(l, 0.99), measure.Quantile(l, 0.999))
	}
	return nil
}
