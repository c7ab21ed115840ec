package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShareIsNeverRoundedUpToAll(t *testing.T) {
	t.Parallel()
	for s, want := range map[float64]string{1: "100 %", .99999: "99.9 %", .9789: "97.8 %", 0: "0.0 %"} {
		assert.Equal(t, want, share(s))
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{.51: "0.51", 16.24: "16.2", 999: "999", 5312: "5,310", 34_321: "34,300", 1_234_567: "1,234,600"} {
		assert.Equal(t, want, short(v))
	}
}

// of returns an outcome of rounds, measured on a day.
func of(day string, figures map[string][]float64) *outcome {
	return &outcome{origin: origin{Measured: day, Machine: "a processor, 2 cores", Version: "1.0"}, Figures: figures}
}

// written returns the page.
func written(t *testing.T, r *results) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, writeReport(dir, r))
	text, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	require.NoError(t, err)
	assert.NotContains(t, string(text), "{{")
	return string(text)
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := newResults(filepath.Join(t.TempDir(), "results.json"))
	const day = "26 November 2026"
	fanout := of(day, map[string][]float64{"fanout CPU s/M": {.6, .5, .7}, "fanout deliveries/s": {9, 1, 2}})
	fanout.Others = []float64{.1, .42, .3}
	r.Loads["stompbox"] = map[string]*outcome{"fanout": fanout, "idle": of(day, map[string][]float64{"idle KB": {16, 16, 16}})}
	r.Loads["NATS"] = map[string]*outcome{
		"fanout": of(day, map[string][]float64{"fanout CPU s/M": {.9, 1, 1.1}}),
		"rooms":  of("27 November 2026", map[string][]float64{"rooms p99 ms": {4}}),
		"idle":   of(day, map[string][]float64{"idle KB": {16, 17, 18}}),
	}
	r.Recovery["stompbox"] = map[string]*outcome{"silent death": of(day, map[string][]float64{"share": {1, 1}})}
	r.Recovery["Spring"] = map[string]*outcome{
		"drop for 2 s": of(day, map[string][]float64{"share": {.9}}), "silent death": of(day, map[string][]float64{"share": {.7, .8}}),
		"SIGKILL restart": of(day, map[string][]float64{"share": {1, 1}}),
	}
	text := written(t, r)
	for _, want := range []string{
		"| stompbox | 0.6 (0.5 to 0.7) | 2 (1 to 9) | - | - | - |\n", "| NATS | 1 (0.9 to 1.1) |", "| stompbox | 16 |",
		"Measured on a processor, 2 cores.",
		"| 3 rounds on 26 November 2026 | 10 to 42 % |\n", "| 3 rounds on 26 November 2026; rooms: 1 round on 27 November 2026 | unknown |\n",
		"| Spring | 90.0 % | - | 70.0 % to 80.0 % | - | 100 % | 2 rounds on 26 November 2026; drop for 2 s: 1 round on 26 November 2026 |\n",
		"| stompbox | - | - | 100 % | - | - | 2 rounds on 26 November 2026 |\n",
	} {
		assert.Contains(t, text, want)
	}
	assert.Contains(t, r.charts()["benchmarks-recovery.svg"], "70.0 %", "the chart has the lowest")
	require.NoError(t, r.save())
	again, err := loadResults(r.file)
	require.NoError(t, err)
	assert.Equal(t, r, again)
}

// TestABuildIsNamedByItsCommit, with or without a tag: the figures are those of one build.
func TestABuildIsNamedByItsCommit(t *testing.T) {
	t.Parallel()
	const commit = `"commit":"0123456789abcdef0123456789abcdef01234567"`
	for text, want := range map[string]string{
		`{"version":"v1.2.3",` + commit + `,"modified":false}`:                                  "v1.2.3, commit 0123456",
		`{"version":"v1.2.3+dirty",` + commit + `,"modified":true}`:                             "v1.2.3, commit 0123456, with changes that are not committed",
		`{"version":"v0.0.0-20261126150235-0123456789ab",` + commit + `}`:                       "commit 0123456",
		`{"version":"v0.0.0-20261126150235-0123456789ab+dirty",` + commit + `,"modified":true}`: "commit 0123456, with changes that are not committed",
		`{"version":"(devel)",` + commit + `,"modified":true}`:                                  "commit 0123456, with changes that are not committed",
		`{"version":"(devel)","modified":false}`:                                                "(devel), commit unknown",
		`{}`:                                                                                    "", `no JSON`: "",
	} {
		assert.Equal(t, want, buildName([]byte(text)), text)
	}
}

// TestTheMeasuredProgramIsAsked: the tree in which this runs may be another one.
func TestTheMeasuredProgramIsAsked(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "stompbox")
	script := "#!/bin/sh\n[ \"$*\" = \"version --json\" ] && echo '{\"version\":\"v1.2.3\",\"commit\":\"0123456789ab\"}'\n"
	require.NoError(t, os.WriteFile(program, []byte(script), 0o755)) //nolint:gosec // it is run
	assert.Equal(t, "v1.2.3, commit 0123456", peers[0].version(folders{stompbox: program}))
	assert.Empty(t, peers[0].version(folders{stompbox: program + "-is-none"}))
}

// TestThePublishedVersionsSayWhatWasMeasured: "this commit" is another one as soon as there is a next one.
func TestThePublishedVersionsSayWhatWasMeasured(t *testing.T) {
	t.Parallel()
	r, err := loadResults("../../../bench/peers/results.json")
	require.NoError(t, err)
	for _, p := range peers {
		require.NotEmpty(t, r.Loads[p.name], p.name)
		for _, part := range []map[string]map[string]*outcome{r.Loads, r.Recovery} {
			for name, o := range part[p.name] {
				assert.NotEmpty(t, o.Version, "%s, %s", p.name, name)
				if p.name == "stompbox" {
					assert.Regexp(t, `\b[0-9a-f]{7}\b|^v[0-9]`, o.Version)
				}
			}
		}
	}
}

func TestThePageSaysOfWhichMachineAndVersionFiguresAre(t *testing.T) {
	t.Parallel()
	r := newResults("")
	later := of("27 November 2026", map[string][]float64{"idle KB": {1}})
	later.Machine, later.Version = "another, 4 cores", "1.1"
	r.Loads["NATS"] = map[string]*outcome{
		"fanout": of("26 November 2026", map[string][]float64{"fanout CPU s/M": {1, 1}}), "idle": later,
	}
	text := written(t, r)
	assert.Contains(t, text, "Measured on a processor, 2 cores, and on another, 4 cores.")
	assert.Contains(t, text, "| NATS | 1.0, 1.1 |")
	assert.Contains(t, text, "2 rounds on 26 November 2026 of 1.0 (a processor, 2 cores); idle: 1 round on 27 November 2026 of 1.1 (another, 4 cores)")
}

// TestAllFiguresAreMedians: times and rates too, in tables and in charts.
func TestAllFiguresAreMedians(t *testing.T) {
	t.Parallel()
	for _, columns := range tables {
		for _, c := range columns {
			r := newResults("")
			name, _, _ := strings.Cut(c.figure, " ")
			o := of("today", map[string][]float64{c.figure: {9, 1, 2}})
			r.Loads["stompbox"] = map[string]*outcome{name: o}
			assert.InDelta(t, 2, r.figure("stompbox", c.figure), 0, c.figure)
			assert.Equal(t, "2 (1 to 9)", o.cell(c.figure))
		}
	}
}

// TestThePageShowsEachChart: a chart that is made is shown.
func TestThePageShowsEachChart(t *testing.T) {
	t.Parallel()
	r := newResults("")
	r.Loads["stompbox"] = map[string]*outcome{}
	r.Recovery["stompbox"] = map[string]*outcome{"silent death": of("today", map[string][]float64{"share": {1}})}
	for _, columns := range tables {
		for _, c := range columns {
			name, _, _ := strings.Cut(c.figure, " ")
			if r.Loads["stompbox"][name] == nil {
				r.Loads["stompbox"][name] = of("today", map[string][]float64{})
			}
			r.Loads["stompbox"][name].Figures[c.figure] = []float64{1}
		}
	}
	drawings := r.charts()
	assert.Len(t, drawings, 7)
	for name := range drawings {
		assert.True(t, strings.Contains(page, "("+name+")"), name)
	}
}

// TestLimitsAreRaisedAndNotOff, and the page names them.
func TestLimitsAreRaisedAndNotOff(t *testing.T) {
	t.Parallel()
	_, limits, ok := strings.Cut(stompboxConfiguration, "limits: {")
	require.True(t, ok)
	limits, _, _ = strings.Cut(limits, "}")
	for limit := range strings.SplitSeq(limits, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(limit), ": ")
		require.True(t, ok, limit)
		n, err := strconv.Atoi(strings.TrimSpace(value))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, n, 1_000_000, "%s: 0 is off", key)
		assert.Contains(t, page, "`limits."+key+"`")
	}
}
