//go:build linux

package fleet

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// TestCaptureToStream measures the time from an event's capture until it is read
// from its stream, and until the broker says that it was stored.
func TestCaptureToStream(t *testing.T) {
	for _, rate := range []int{100, 500, 2000} {
		t.Run(fmt.Sprint(rate, " events a second"), func(t *testing.T) {
			begin(t)
			const warmUp, length = 5 * time.Second, 30 * time.Second
			c := harness.NewCluster(t, harness.ClusterOptions{MaxStore: 8 << 30})
			f := open(t, t.TempDir(), c, http.StatusOK)
			defer f.Close()
			js := jetStream(t, c)
			made(t, js)
			list := views(t, int((warmUp+length).Seconds()*float64(rate)), 700)
			var mu sync.Mutex
			captured := make([]time.Time, len(list))
			var read1, stored []time.Duration
			stop := read(t, js, func(_ int, m jetstream.Msg) {
				now := time.Now()
				i, err := strconv.Atoi(member(m.Data(), "messageId"))
				meta, err2 := m.Metadata()
				if err != nil || err2 != nil {
					t.Error(err, err2)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if i >= int(warmUp.Seconds()*float64(rate)) {
					read1 = append(read1, now.Sub(captured[i]).Round(100*time.Microsecond))
					stored = append(stored, meta.Timestamp.Sub(captured[i]).Round(100*time.Microsecond))
				}
			})
			begun, n := time.Now(), 0
			for tick := time.NewTicker(time.Millisecond); n < len(list); <-tick.C {
				for due := int(time.Since(begun).Seconds() * float64(rate)); n < min(due, len(list)); n++ {
					mu.Lock()
					captured[n] = time.Now()
					mu.Unlock()
					if err := f.Capture(harness.Destination, &list[n]); err != nil {
						t.Fatal(err)
					}
				}
			}
			harness.Await(t, 20*time.Second, "all have been read", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(read1) == int(length.Seconds()*float64(rate))
			})
			stop()
			t.Log("to the broker's time of the event:", summary(stored))
			t.Log("to the event being read from its stream:", summary(read1))
		})
	}
}
