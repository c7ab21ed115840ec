package main

import (
	"os"
	"path/filepath"
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

func TestReport(t *testing.T) {
	t.Parallel()
	r, err := loadResults(filepath.Join(t.TempDir(), "results.json"))
	require.NoError(t, err)
	r.Measured, r.Machine = "26 November 2026", "a processor, 2 cores"
	r.Versions["stompbox"], r.Versions["NATS"] = "commit 0123456", "2.15.2"
	r.Rounds["stompbox"] = map[string][]float64{"fanout CPU s/M": {.6, .5, .7}, "idle KB": {16, 16, 16}}
	r.Rounds["NATS"] = map[string][]float64{"fanout CPU s/M": {.9, 1, 1.1}}
	r.Recovery["stompbox"] = map[string][]float64{"silent death": {1, 1}}
	r.Recovery["Spring"] = map[string][]float64{"silent death": {.7, .8}}
	dir := t.TempDir()
	require.NoError(t, writeReport(dir, r))
	text, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	require.NoError(t, err)
	for _, want := range []string{
		"| stompbox | 0.6 (0.5 to 0.7) | - | - | - | - |\n", "| NATS | 1 (0.9 to 1.1) |", "| stompbox | 16 |", "| stompbox | commit 0123456 | defaults;", "Measured on 26 November 2026: a processor, 2 cores.",
		"| Spring | - | - | 70.0 % to 80.0 % | - | - |", "| stompbox | - | - | 100 % | - | - |",
	} {
		assert.Contains(t, string(text), want)
	}
	assert.NotContains(t, string(text), "{{")
	chart, err := os.ReadFile(filepath.Join(dir, "benchmarks-recovery.svg"))
	require.NoError(t, err)
	assert.Contains(t, string(chart), "70.0 %", "the chart has the lowest")
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
		assert.NotEmpty(t, r.Versions[p.name], p.name)
	}
	assert.Regexp(t, `\b[0-9a-f]{7}\b|^v[0-9]`, r.Versions["stompbox"])
}

// TestTimesAreOfTheQuietestRound, and CPU and memory are medians.
func TestTimesAreOfTheQuietestRound(t *testing.T) {
	t.Parallel()
	for figure, want := range map[string]float64{
		"fanout CPU s/M": 2, "connects CPU ms": 2, "idle KB": 2, "idle us/s": 2, "idle server MB": 2,
		"fanout deliveries/s": 9, "connects per s": 9, "queue per s": 9, "rooms p99 ms": 1, "fanout-1 ms per message": 1,
	} {
		assert.InDelta(t, want, representative(figure, []float64{9, 1, 2}), 0, figure)
	}
}

// TestThePageShowsEachChart: a chart that is made is shown.
func TestThePageShowsEachChart(t *testing.T) {
	t.Parallel()
	r := &results{Rounds: map[string]map[string][]float64{"stompbox": {}}, Recovery: map[string]map[string][]float64{"stompbox": {"silent death": {1}}}}
	for _, columns := range tables {
		for _, c := range columns {
			r.Rounds["stompbox"][c.figure] = []float64{1}
		}
	}
	drawings := r.charts()
	assert.Len(t, drawings, 7)
	for name := range drawings {
		assert.True(t, strings.Contains(page, "("+name+")"), name)
	}
}
