package measure

import (
	"cmp"
	"math"
	"slices"
)

// Quantile returns the q-quantile (0 to 1) of the samples by the nearest rank;
// the zero value when there are none. It sorts the samples.
func Quantile[T cmp.Ordered](samples []T, q float64) T {
	if len(samples) == 0 {
		var zero T
		return zero
	}
	slices.Sort(samples)
	rank := int(math.Ceil(q*float64(len(samples)))) - 1
	return samples[min(max(rank, 0), len(samples)-1)]
}

// Median returns the middle of the samples, the mean of the two middle ones
// when their number is even; 0 when there are none. It sorts the samples.
func Median(samples []float64) float64 {
	n := len(samples)
	if n == 0 {
		return 0
	}
	slices.Sort(samples)
	return (samples[(n-1)/2] + samples[n/2]) / 2
}
