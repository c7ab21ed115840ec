package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestASoakFailsWhereSomethingGrows and where consumers are left, and not for what is flat.
func TestASoakFailsWhereSomethingGrows(t *testing.T) {
	t.Parallel()
	samplesOf := func(name string, each func(i int) float64) (all [nodeCount][]sample) {
		for n := range all {
			for i := range soakSamples + 1 {
				s := sample{"go_goroutines": 500, "process_open_fds": 100, "process_resident_memory_bytes": 100 << 20, consumersFigure: 10}
				if name != "" {
					s[name] = each(i)
				}
				all[n] = append(all[n], s)
			}
		}
		return all
	}
	flat := samplesOf("", nil)
	require.NoError(t, judge(&flat))
	for _, f := range soakFigures {
		start := flat[0][0][f.name]
		grown := samplesOf(f.name, func(i int) float64 {
			if i == soakSamples {
				return start // at the end no client is left
			}
			return start + float64(i)*(start/10+f.slack)/3
		})
		require.ErrorContains(t, judge(&grown), f.label+" grew")
		warm := samplesOf(f.name, func(i int) float64 { return start * float64(min(i, 4)) / 4 })
		require.NoError(t, judge(&warm), "it grows only at the beginning")
	}
	left := samplesOf(consumersFigure, func(int) float64 { return maxLeftConsumers + 1 })
	require.ErrorContains(t, judge(&left), "consumers are left")
}
