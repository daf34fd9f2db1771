package durations

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, time.Hour} {
		h.Observe(d)
	}
	got := h.Read()
	if got.Count != 4 || got.Sum != time.Hour+3*time.Millisecond || got.Buckets[0] != 2 || got.Buckets[1] != 3 || got.Buckets[len(got.Buckets)-1] != 3 {
		t.Errorf("%+v", got)
	}
	if twice := got.Add(got); twice.Count != 8 || twice.Sum != 2*got.Sum || twice.Buckets[1] != 6 {
		t.Errorf("twice %+v", twice)
	}
}
