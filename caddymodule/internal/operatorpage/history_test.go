package operatorpage

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/internal/faketime"
)

// A sample each 5 s, for 15 minutes, begun once and ended for good.
func TestHistory(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		h := new(History)
		var n uint64
		look := func(time.Time) Sample { n++; return Sample{Pending: n} }
		start := time.Now().UnixMilli()
		h.Start(look)
		h.Start(look) // a reload
		synctest.Wait()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		list := h.Since(0)
		if len(list) != 3 || list[0].Time != start || list[2].Time != start+10_000 || list[2].Pending != 3 {
			t.Errorf("%+v", list)
		}
		if list := h.Since(start + 5_000); len(list) != 1 || list[0].Pending != 3 {
			t.Errorf("since: %+v", list)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		list = h.Since(0)
		if want := 15 * 12; len(list) != want || list[len(list)-1].Pending != n {
			t.Errorf("%d samples, want %d; the last is %d of %d", len(list), want, list[len(list)-1].Pending, n)
		}
		h.Stop()
		h.Stop()
		h.Start(look)
		before := n
		time.Sleep(time.Minute)
		synctest.Wait()
		if n != before {
			t.Error("it goes on after Stop")
		}
	})
	new(History).Stop() // never started
}
