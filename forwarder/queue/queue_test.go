package queue

import (
	"testing"
)

func TestPosition(t *testing.T) {
	a, b, other := At(7, 3), At(7, 4), At(8, 1)
	for _, c := range []struct {
		p, q    Position
		compare int
		covers  bool // p covers q
	}{
		{a, a, 0, true}, {a, b, -1, false}, {b, a, 1, true}, {Position{}, a, -1, false}, {a, Position{}, 1, false},
		{other, a, 1, false}, {a, other, -1, false},
	} {
		if got := c.p.Compare(c.q); got != c.compare {
			t.Errorf("%v to %v: %d, want %d", c.p, c.q, got, c.compare)
		}
		if got := c.p.Covers(c.q); got != c.covers {
			t.Errorf("%v covers %v: %v, want %v", c.p, c.q, got, c.covers)
		}
	}
	if a.Offset(7) != 3 || a.Offset(8) != 0 || !(Position{}).IsZero() || a.IsZero() {
		t.Error("offsets")
	}
}

func TestPositionText(t *testing.T) {
	for _, p := range []Position{{}, At(7, 3), At(1<<64-1, 1<<64-1)} {
		text, err := p.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var q Position
		if err := q.UnmarshalText(text); err != nil || q != p {
			t.Errorf("%s came back as %v, %v", text, q, err)
		}
	}
	var p Position
	for _, bad := range []string{"", "7", "7-3", "000000000000000g-0000000000000001", "0000000000000007-00000000000000010"} {
		if err := p.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
}

func TestHistogram(t *testing.T) {
	h := NewHistogram()
	for _, s := range []float64{0, .001, .002, 3600} {
		h.Observe(s)
	}
	got := ReadHistogram(h)
	if got.Count != 4 || got.Sum != 3600.003 || got.Buckets[.001] != 2 || got.Buckets[.0025] != 3 || got.Buckets[30] != 3 {
		t.Errorf("%+v", got)
	}
	twice := got.Add(got).Add(Histogram{})
	if twice.Count != 8 || twice.Sum != 2*got.Sum || twice.Buckets[.0025] != 6 {
		t.Errorf("twice %+v", twice)
	}
	if n := len(twice.Buckets); n != 14 {
		t.Errorf("%d buckets", n)
	}
}
