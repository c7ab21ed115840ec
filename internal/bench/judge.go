// Package bench has what the benchmarks need in addition to a broker: a judgement of two builds,
// a simulation of many sessions, and charts.
package bench

import (
	"fmt"
	"math"
	"slices"
)

// Verdict says what the figures of two builds show.
type Verdict string

// The verdicts.
const (
	Equal  Verdict = "equal"  // within the noise
	Better Verdict = "better" // less than the base beyond the noise
	Worse  Verdict = "WORSE"  // more than the base beyond the noise
	Noisy  Verdict = "NOISY"  // too much noise to see what matters
)

const (
	// minBound is the least difference that counts, whatever the spread of a few rounds.
	minBound = 0.05
	// maxBound is the most noise with which a judgement is worth anything.
	maxBound = 0.30
	// noiseFactor is how many standard errors of the median a difference must exceed.
	noiseFactor = 3
)

// Judgement compares figures of which less is better, made in rounds that took turns.
type Judgement struct {
	Base, Head float64 // medians
	Ratio      float64 // median of the rounds' ratios of head to base
	Bound      float64 // how far from 1 the ratio may be by noise alone
	Verdict    Verdict
}

// Judge compares the rounds of two builds. Round i of both ran one after the other, so
// that what else the machine did meets both: the ratios of the rounds are compared, not
// the medians.
func Judge(base, head []float64) (Judgement, error) {
	if len(base) == 0 || len(base) != len(head) {
		return Judgement{}, fmt.Errorf("bench: %d rounds of the base and %d of the head cannot be compared", len(base), len(head))
	}
	ratios := make([]float64, len(base))
	for i := range base {
		if !(base[i] > 0 && head[i] > 0) {
			return Judgement{}, fmt.Errorf("bench: round %d measured %v and %v, which is nothing", i+1, base[i], head[i])
		}
		ratios[i] = head[i] / base[i]
	}
	j := Judgement{Base: Median(base), Head: Median(head), Ratio: Median(ratios)}
	j.Bound = max(minBound, noiseFactor*medianError(ratios))
	switch {
	case j.Ratio > 1+j.Bound && mostlyAbove(ratios, 1):
		j.Verdict = Worse
	case j.Bound > maxBound:
		j.Verdict = Noisy
	case j.Ratio < 1-j.Bound:
		j.Verdict = Better
	default:
		j.Verdict = Equal
	}
	return j, nil
}

// mostlyAbove reports whether three quarters of the figures are above a limit. The spread
// of a few rounds may be small by chance, and then this keeps equal builds from failing.
func mostlyAbove(figures []float64, limit float64) bool {
	not := 0
	for _, f := range figures {
		if f <= limit {
			not++
		}
	}
	return not <= len(figures)/4
}

// Failed reports whether a release has to wait.
func (j Judgement) Failed() bool { return j.Verdict == Worse || j.Verdict == Noisy }

func (j Judgement) String() string {
	return fmt.Sprintf("base %.2f, head %.2f, ratio %.3f, noise %.3f: %s", j.Base, j.Head, j.Ratio, j.Bound, j.Verdict)
}

// medians takes the median of each figure of rounds, and the rest of the first one.
func medians[R any](rounds []R, figures func(*R) []*float64) R {
	result := rounds[0]
	for i, figure := range figures(&result) {
		all := make([]float64, len(rounds))
		for j := range rounds {
			all[j] = *figures(&rounds[j])[i]
		}
		*figure = Median(all)
	}
	return result
}

// Median returns the median of figures, which it leaves as they are.
func Median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// medianError estimates the standard error of the median from the median absolute
// deviation, which one disturbed round does not change.
func medianError(figures []float64) float64 {
	middle := Median(figures)
	deviations := make([]float64, len(figures))
	for i, f := range figures {
		deviations[i] = math.Abs(f - middle)
	}
	const normal, ofMedian = 1.4826, 1.2533
	return normal * ofMedian * Median(deviations) / math.Sqrt(float64(len(figures)))
}
