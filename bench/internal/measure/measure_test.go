//go:build linux

package measure

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 100"
	for _, name := range []string{"(caddy)", "(a b) c)", "()"} {
		got, err := parseStat([]byte("4711 " + name + rest))
		if err != nil || got != 2*time.Second {
			t.Errorf("%s: %v, %v; want 2s", name, got, err)
		}
	}
	for _, bad := range []string{"", "1 (x) S 1 2", "1 x S 1 2 3 4 5 6 7 8 9 10 11 12 13", "1 (x) S 1 2 3 4 5 6 7 8 9 10 a b 0"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: %v, want an error", bad, got)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	m, err := RAM(os.Getpid())
	if err != nil || m.RSS <= 0 || m.Anon <= 0 || m.Peak < m.Anon {
		t.Errorf("memory %+v, %v", m, err)
	}
	before, err := Written(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if after, err := Written(os.Getpid()); err != nil || after < before {
		t.Errorf("written %d, then %d, %v", before, after, err)
	}
}

func TestQuantileAndMedian(t *testing.T) {
	s := []int{5, 1, 4, 2, 3}
	for q, want := range map[float64]int{0: 1, 0.2: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := Quantile(s, q); got != want {
			t.Errorf("quantile %v = %d, want %d", q, got, want)
		}
	}
	if got := Quantile[int](nil, 0.5); got != 0 {
		t.Errorf("quantile of nothing = %d", got)
	}
	for _, tt := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}} {
		if got := Median(tt.in); got != tt.want {
			t.Errorf("median of %v = %v, want %v", tt.in, got, tt.want)
		}
	}
}
