//go:build linux

// Command backlog measures what a queue full of undelivered events costs: how
// long Caddy takes to start with it, how much memory it needs, and how fast it
// is sent to a receiver that takes 50 ms for each answer.
//
//	./xcaddy.sh build && cd bench && go run ./backlog
//	go run ./backlog -disk 1024     the full size of the budgets in docs/benchmarks.md
//
// The backlog is written through the log's own API, of different events of
// 1 KB. It then starts Caddy with the module on that directory two times: with
// a receiver that answers 503, for start and memory, and with one that accepts,
// for the drain. A plain Caddy beside it is what memory is compared with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/caddy"
	"github.com/intilery/caddy-intilery/bench/internal/loopback"
	"github.com/intilery/caddy-intilery/bench/internal/measure"
)

type options struct {
	caddy, dir, profile string
	disk                int64
	latency, watched    time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.caddy, "caddy", "../caddy", "the Caddy binary with the module")
	flag.StringVar(&o.dir, "dir", "", "where to keep data while it runs (default: a temporary directory)")
	flag.StringVar(&o.profile, "profile", "", "file for a CPU profile of the drain's first ten seconds")
	flag.Int64Var(&o.disk, "disk", 64, "size of the backlog in MiB, as it lies on disk")
	flag.DurationVar(&o.latency, "latency", 50*time.Millisecond, "how long the receiver takes for an answer")
	flag.DurationVar(&o.watched, "watch", 20*time.Second, "how long memory is watched")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "backlog:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if err := caddy.Check(o.caddy); err != nil {
		return err
	}
	if o.disk < 1 || o.disk > 8<<10 {
		return fmt.Errorf("-disk %d: use 1 to 8192 MiB", o.disk)
	}
	dir, err := os.MkdirTemp(o.dir, "bench-backlog-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Printf("load average %s\n", measure.LoadAverage())

	data := filepath.Join(dir, "data")
	count, err := fill(ctx, filepath.Join(data, "wal"), o.disk*mib)
	if err != nil {
		return fmt.Errorf("make the backlog: %w", err)
	}
	rec := &receiver{latency: o.latency}
	address, closeReceiver, err := loopback.Serve(rec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeReceiver()) }()

	opt := caddy.Options{Binary: o.caddy, Dir: dir, Upstream: address, Core: -1}
	opt.Name = "plain"
	plain, err := caddy.Start(ctx, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.Stop()) }()

	opt.Receiver, opt.DataDir, opt.MaxSize = address, data, limit(o.disk*mib)
	rec.refuse.Store(true)
	opt.Name = "outage"
	if err := outage(ctx, o, opt, plain, count); err != nil {
		return err
	}
	rec.refuse.Store(false)
	opt.Name = "draining"
	return drain(ctx, o, opt, plain, rec, count)
}
