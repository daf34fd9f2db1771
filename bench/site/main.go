//go:build linux

// Command site compares a site behind Caddy's reverse_proxy with and without
// the module, as whole processes: throughput, latency, CPU per request, memory.
//
//	./xcaddy.sh build && cd bench && go run ./site
//
// It starts an app, a receiver of events and two Caddy processes on loopback,
// sends each Caddy the same requests in turn, and stops what it started.
// The generator, the app and the receiver share the machine with Caddy. So the
// ratio of the throughputs understates what the module costs a Caddy that has
// the machine to itself; -pin, which gives Caddy one core and all else the
// others, and the CPU time per request of the Caddy process do not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/intilery/caddy-intilery/bench/internal/brokers"
	"github.com/intilery/caddy-intilery/bench/internal/caddy"
	"github.com/intilery/caddy-intilery/bench/internal/load"
	"github.com/intilery/caddy-intilery/bench/internal/loopback"
	"github.com/intilery/caddy-intilery/bench/internal/measure"
)

const (
	with    = "with"
	without = "without"
)

type options struct {
	caddy, dir, receiver, profile string
	requests, rounds, concurrency int
	visitors, rate                int
	paced                         time.Duration
	pin, fleet                    bool
}

func main() {
	var o options
	flag.StringVar(&o.caddy, "caddy", "../caddy", "the Caddy binary with the module")
	flag.StringVar(&o.dir, "dir", "", "where to keep data while it runs (default: a temporary directory)")
	flag.StringVar(&o.receiver, "receiver", "sandbox", "where events go: sandbox checks them, sink only counts them")
	flag.StringVar(&o.profile, "profile", "", "directory for CPU profiles of both, taken in one more round each")
	flag.IntVar(&o.requests, "requests", 3000, "requests in a round")
	flag.IntVar(&o.rounds, "rounds", 25, "rounds of each workload for each Caddy")
	flag.IntVar(&o.concurrency, "concurrency", 32, "connections")
	flag.IntVar(&o.visitors, "visitors", 256, "different visitors")
	flag.IntVar(&o.rate, "rate", 2000, "documents per second of the paced run")
	flag.DurationVar(&o.paced, "paced", 20*time.Second, "length of the paced run for each Caddy; 0 leaves it out")
	flag.BoolVar(&o.pin, "pin", false, "give the Caddys the last core and everything else the others")
	flag.BoolVar(&o.fleet, "fleet", false, "compare a node alone (without) and the only node of a fleet (with); three brokers run beside the generator")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if err := caddy.Check(o.caddy); err != nil {
		return err
	}
	if o.requests < 1 || o.rounds < 1 || o.concurrency < 1 || o.visitors < 1 || o.rate < 1 {
		return errors.New("-requests, -rounds, -concurrency, -visitors and -rate must be at least 1")
	}
	dir, err := os.MkdirTemp(o.dir, "bench-site-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	core := -1
	if o.pin {
		if core, err = keepOff(); err != nil {
			return err
		}
	}
	rec, err := newReceiver(o.receiver)
	if err != nil {
		return err
	}
	recAddr, closeReceiver, err := loopback.Serve(rec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeReceiver()) }()
	app, closeApp, err := loopback.Serve(upstream())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeApp()) }()

	var servers []string
	if o.fleet {
		urls, stop, err := brokers.Start(dir)
		if err != nil {
			return err
		}
		defer stop()
		servers = urls
	}

	fmt.Printf("%d CPUs, load average %s, receiver %s, pinned %v, fleet %v\n", runtime.NumCPU(), measure.LoadAverage(), o.receiver, o.pin, o.fleet)
	var sides [2]*side
	for i, name := range []string{without, with} {
		opt := caddy.Options{Binary: o.caddy, Dir: dir, Name: name, Upstream: app, Core: core}
		if name == with || o.fleet {
			opt.Receiver = recAddr
		}
		if name == with {
			opt.Brokers = servers
		}
		c, err := caddy.Start(ctx, opt)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Stop()) }()
		sides[i] = &side{Process: c}
	}
	if err := measureAll(ctx, o, sides, rec); err != nil {
		return err
	}
	for _, s := range sides {
		for _, line := range s.Complaints(5) {
			fmt.Printf("log of Caddy %s the module: %s\n", s.Name, line)
		}
	}
	return nil
}

// side is one Caddy and the requests of its visitors.
type side struct {
	*caddy.Process
	cookies []string
}

func measureAll(ctx context.Context, o options, sides [2]*side, rec *receiver) error {
	if err := idle(ctx, sides); err != nil {
		return err
	}
	var first uint64 // events of first visits
	for _, s := range sides {
		if s.Tracks {
			first += uint64(o.visitors)
		}
		cookies, err := meet(s.Process, o.visitors)
		if err != nil {
			return fmt.Errorf("first visits of Caddy %s the module: %w", s.Name, err)
		}
		s.cookies = cookies
	}
	await(ctx, rec, first)
	if o.paced > 0 {
		if err := paced(ctx, o, sides, rec); err != nil {
			return err
		}
	}
	for _, w := range []struct {
		name     string
		requests func(host string, cookies []string) [][]byte
		cycle    int // requests to one document
	}{{"documents", documents, 1}, {"mix of 1 document and 4 assets", mix, 1 + assetsPerDocument}} {
		requests := o.requests / w.cycle * w.cycle
		flood := func(s *side) (*round, error) {
			l := load.Load{Address: s.Site, Requests: load.InTurn(w.requests(s.Site, s.cookies)), Count: requests, Concurrency: o.concurrency}
			return play(ctx, s.Process, l, requests/w.cycle, rec)
		}
		if err := compare(w.name, o.rounds, sides, flood); err != nil {
			return err
		}
		if o.profile != "" {
			if err := profiles(ctx, o.profile, w.name[:3], sides, flood); err != nil {
				return err
			}
		}
	}
	return peaks(sides)
}

// profiles plays one more round for each side under the profiler.
func profiles(ctx context.Context, dir, workload string, sides [2]*side, flood func(*side) (*round, error)) error {
	for _, s := range sides {
		done := make(chan error, 1)
		go func() {
			done <- s.Profile(ctx, 15*time.Second, filepath.Join(dir, workload+"-"+s.Name+".pprof"))
		}()
		for waiting := true; waiting; {
			if _, err := flood(s); err != nil {
				return err
			}
			select {
			case err := <-done:
				if err != nil {
					return err
				}
				waiting = false
			default:
			}
		}
	}
	return nil
}

// keepOff takes the last core from this process and returns its number.
func keepOff() (core int, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return 0, err
	}
	if all.Count() < 2 {
		return 0, errors.New("-pin needs two cores")
	}
	for core = len(all)*64 - 1; !all.IsSet(core); core-- {
	}
	all.Clear(core)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0, err
	}
	for _, t := range tasks {
		var tid int
		if _, err := fmt.Sscan(t.Name(), &tid); err != nil {
			return 0, err
		}
		if err := unix.SchedSetaffinity(tid, &all); err != nil && !errors.Is(err, unix.ESRCH) {
			return 0, err
		}
	}
	return core, nil
}
