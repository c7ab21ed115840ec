package bench

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		base, head []float64
		want       Verdict
	}{
		"the same":                         {[]float64{1, 1, 1, 1, 1}, []float64{1, 1, 1, 1, 1}, Equal},
		"a difference below the least":     {[]float64{1, 1, 1, 1, 1}, []float64{1.04, 1.04, 1.04, 1.04, 1.04}, Equal},
		"a tenth more, quiet":              {[]float64{1, 1.01, .99, 1, 1}, []float64{1.1, 1.1, 1.1, 1.11, 1.09}, Worse},
		"a tenth less, quiet":              {[]float64{1, 1.01, .99, 1, 1}, []float64{.9, .9, .9, .91, .89}, Better},
		"a tenth more, lost in the noise":  {[]float64{1, 1, 1, 1, 1}, []float64{1.1, .98, 1.22, 1, 1.2}, Equal},
		"one disturbed round":              {[]float64{1, 1, 1, 1, 1}, []float64{1, 1, 1, 1, 9}, Equal},
		"two of three agree by chance":     {[]float64{1, 1, 1}, []float64{1.3, 1.31, .9}, Equal},
		"a machine that slows down":        {[]float64{1, 2, 3, 4, 5}, []float64{1.01, 2, 3.02, 4.01, 4.99}, Equal},
		"a slow machine hides nothing":     {[]float64{1, 2, 3, 4, 5}, []float64{1.2, 2.4, 3.6, 4.8, 6}, Worse},
		"so much noise that nothing shows": {[]float64{1, 1, 1, 1, 1}, []float64{.5, 1.6, .6, 1.5, 1}, Noisy},
		"worse than any noise":             {[]float64{1, 1, 1, 1, 1}, []float64{3, 4, 2.8, 5, 3}, Worse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := Judge(test.base, test.head)
			require.NoError(t, err)
			assert.Equal(t, test.want, j.Verdict, j.String())
			assert.Equal(t, test.want == Worse || test.want == Noisy, j.Failed())
		})
	}
}

// TestJudgeSeldomErrs holds that few equal builds fail, and few that are a fifth slower do
// not, with 3 % of noise in each figure.
func TestJudgeSeldomErrs(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	const trials = 2000
	failures := func(factor float64, verdicts ...Verdict) int {
		n := 0
		for range trials {
			base, head := make([]float64, 7), make([]float64, 7)
			for i := range base {
				machine := 1 + random.Float64() // how busy it is in this round
				base[i] = machine * (1 + .03*random.NormFloat64())
				head[i] = machine * factor * (1 + .03*random.NormFloat64())
			}
			j, err := Judge(base, head)
			require.NoError(t, err)
			if slices.Contains(verdicts, j.Verdict) {
				n++
			}
		}
		return n
	}
	assert.Less(t, failures(1, Worse, Noisy), trials/50, "equal builds that fail")
	assert.Greater(t, failures(1.2, Worse), trials*9/10, "slower builds that fail")
}

func TestJudgeRefusesWhatIsNoMeasurement(t *testing.T) {
	t.Parallel()
	for name, rounds := range map[string][2][]float64{
		"no rounds":        {},
		"a round missing":  {{1, 2}, {1}},
		"nothing measured": {{0, 1}, {1, 1}},
	} {
		_, err := Judge(rounds[0], rounds[1])
		assert.Error(t, err, name)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	figures := []float64{3, 1, 2}
	assert.InDelta(t, 2, Median(figures), 0)
	assert.Equal(t, []float64{3, 1, 2}, figures, "the figures stay as they are")
	assert.InDelta(t, 2.5, Median([]float64{4, 1, 2, 3}), 0)
}
