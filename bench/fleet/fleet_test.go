//go:build linux

package fleet

import (
	"cmp"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/measure"
	"github.com/intilery/caddy-intilery/fleettest/harness"
)

var figures = flag.Bool("figures", false, "take the figures, which needs minutes and a machine that does nothing else")

func TestMain(m *testing.M) { harness.Main(m) }

// begin skips a test that is not asked for, and logs how busy the machine is.
func begin(t *testing.T) {
	t.Helper()
	if !*figures {
		t.Skip("needs -figures")
	}
	t.Log("load before:", measure.LoadAverage())
}

// start starts a load, and waits until it is delivered as it comes.
func start(t *testing.T, f *harness.Fleet, l *harness.Load) {
	t.Helper()
	l.Nodes = f.Nodes
	l.Start(t)
	harness.Await(t, 30*time.Second, "the fleet delivers what comes", func() bool {
		delivered := len(f.Receiver.Deliveries())
		return delivered >= l.Rate && l.Begun()-delivered < l.Rate
	})
	passed(t, l, 2*time.Second)
}

// passed waits until the load has made the events of a time.
func passed(t *testing.T, l *harness.Load, d time.Duration) {
	t.Helper()
	at := l.Begun()
	harness.Await(t, d+20*time.Second, "the load goes on", func() bool { return l.Begun() >= at+int(d.Seconds()*float64(l.Rate)) })
}

// summary is the number of samples, their quantiles and the largest.
func summary[T cmp.Ordered](samples []T) string {
	if len(samples) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d samples, p50 %v, p90 %v, p99 %v, largest %v", len(samples),
		measure.Quantile(samples, .5), measure.Quantile(samples, .9), measure.Quantile(samples, .99), measure.Quantile(samples, 1))
}
