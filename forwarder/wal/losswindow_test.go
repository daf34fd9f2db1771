//go:build linux

package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkLossWindow measures what is lost of events that come steadily, in
// milliseconds between the last one that is there afterwards and the end: of
// the process by kill -9, or of the power under its file system.
func BenchmarkLossWindow(b *testing.B) {
	for _, end := range []string{"kill", "power"} {
		for sync, name := range []string{"group", "interval", "os"} {
			b.Run(end+"/"+name, func(b *testing.B) {
				long := 2 * time.Second
				if end == "power" && SyncPolicy(sync) == SyncOS {
					long = 40 * time.Second // the system writes within half a minute
				}
				var all, most time.Duration
				for range b.N {
					lost := lossWindow(b, SyncPolicy(sync), end == "power", long)
					all += lost
					most = max(most, lost)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(all.Microseconds())/1000/float64(b.N), "ms-mean")
				b.ReportMetric(float64(most.Microseconds())/1000, "ms-most")
			})
		}
	}
}

func lossWindow(b *testing.B, sync SyncPolicy, power bool, long time.Duration) time.Duration {
	d := newLoopDisk(b, 192<<20)
	dir := filepath.Join(d.dir, "wal")
	cmd := child(paceDirEnv, dir, fmt.Sprintf("%s=%d", crashSyncEnv, sync))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	time.Sleep(long + time.Duration(rand.Int64N(int64(long/2))))
	end := time.Now()
	var cutErr error
	if power {
		cutErr = d.cut()
	}
	cmd.Process.Kill()
	cmd.Wait() // it was killed, or died of the disk
	if cutErr != nil {
		b.Skipf("the file system cannot be cut off: %v", cutErr)
	}
	if power {
		if err := errors.Join(d.unmount(), d.mount()); err != nil {
			b.Fatal(err)
		}
	}
	l := New(Options{Dir: dir})
	l.Start()
	waitOpen(b, l)
	recs := drain(b, l, paceLane, 0)
	mustClose(b, l)
	if err := d.unmount(); err != nil {
		b.Fatal(err)
	}
	if len(recs) == 0 {
		return long // nothing is there: at least that
	}
	var last int64
	if _, err := fmt.Sscan(string(recs[len(recs)-1].Data), &last); err != nil {
		b.Fatal(err)
	}
	return end.Sub(time.UnixMicro(last))
}
