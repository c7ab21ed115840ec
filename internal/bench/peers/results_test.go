package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// earlier are results of another day.
func earlier() *results {
	r := newResults("")
	r.Loads["NATS"] = map[string]*outcome{
		"fanout": of("1 May 2026", map[string][]float64{"fanout CPU s/M": {7, 7}}),
		"idle":   of("1 May 2026", map[string][]float64{"idle KB": {7, 7}}),
	}
	return r
}

// TestALoadThatFailsHasNoFigure: not one of an earlier run, nor of its other rounds.
func TestALoadThatFailsHasNoFigure(t *testing.T) {
	t.Parallel()
	r := earlier()
	s := newSession(r.Loads, "2 May 2026", "a processor, 2 cores")
	o := s.outcome("NATS", "fanout", "1.0")
	o.note(figures{"fanout CPU s/M": 5}, .1, nil)
	o.note(nil, .1, errors.New("message 7 came in place of 6"))
	s.outcome("NATS", "fanout", "1.0").note(figures{"fanout CPU s/M": 6}, .1, nil)
	require.ErrorContains(t, s.finish(), "NATS, fanout: message 7 came in place of 6")
	text := written(t, r)
	assert.Contains(t, text, "| NATS | failed | failed | - | - | - |\n")
	assert.Contains(t, text, "- NATS, fanout failed: `message 7 came in place of 6`\n")
	assert.Contains(t, text, "failed on 2 May 2026")
	assert.Contains(t, text, "| NATS | 7 |", "what was not measured again stays")
	assert.NotContains(t, r.charts(), "benchmarks-fanout.svg")
}

func TestAFailureThatWasNotMeasuredHasNoShare(t *testing.T) {
	t.Parallel()
	r := newResults("")
	r.Recovery["NATS"] = map[string]*outcome{"silent death": of("1 May 2026", map[string][]float64{"share": {1, 1}})}
	s := newSession(r.Recovery, "2 May 2026", "a processor, 2 cores")
	s.outcome("NATS", "silent death", "1.0").noteShare(0, errors.New("no message was confirmed"))
	require.ErrorContains(t, s.finish(), "no message was confirmed")
	assert.Contains(t, written(t, r), "| NATS | - | - | failed | - | - | failed on 2 May 2026 |\n")
}

// TestARunReplacesWhatItMeasures, and says when.
func TestARunReplacesWhatItMeasures(t *testing.T) {
	t.Parallel()
	r := earlier()
	s := newSession(r.Loads, "2 May 2026", "a processor, 2 cores")
	for _, figure := range []float64{3, 4, 5} {
		s.outcome("NATS", "fanout", "1.0").note(figures{"fanout CPU s/M": figure}, 0, nil)
	}
	require.NoError(t, s.finish())
	assert.Equal(t, []float64{3, 4, 5}, r.Loads["NATS"]["fanout"].Figures["fanout CPU s/M"])
	text := written(t, r)
	assert.Contains(t, text, "| NATS | 4 (3 to 5) |")
	assert.Contains(t, text, "3 rounds on 2 May 2026; idle: 2 rounds on 1 May 2026")
}

func TestRoundsThatAreLateDoNotCount(t *testing.T) {
	t.Parallel()
	r := newResults("")
	s := newSession(r.Loads, "2 May 2026", "a processor, 2 cores")
	late := fmt.Errorf("%w: by 300ms", errLate)
	s.outcome("NATS", "rooms", "1.0").note(nil, 1, late)
	s.outcome("NATS", "rooms", "1.0").note(figures{"rooms p99 ms": 3}, 0, nil)
	require.NoError(t, s.finish())
	assert.Contains(t, written(t, r), "- NATS, rooms: 1 round does not count, since the load generator fell behind the clock.\n")
	s.outcome("Spring", "rooms", "1.0").note(nil, 1, late)
	require.ErrorContains(t, s.finish(), "Spring, rooms: no round counts")
	assert.Contains(t, written(t, r), "| Spring | failed | failed | failed | - | - | - |\n")
}

func TestNamesThatAreUnknownAreRefused(t *testing.T) {
	t.Parallel()
	for says, o := range map[string]options{
		`-peers: "NoSuch" is none of stompbox, NATS`:        {peers: "NATS,NoSuch"},
		`-only: "NoSuch" is none of fanout, fanout-1`:       {only: "NoSuch"},
		`-only: "" is none of`:                              {only: "fanout,"},
		`-only: "fanout" is none of drop for 2 s`:           {only: "fanout", recovery: true},
		`-only: "silent death" is none of fanout`:           {only: "silent death"},
		"none of these peers can do any of these loads":     {only: "queue", peers: "NATS,Centrifugo"},
		`-peers: "nats" is none of`:                         {peers: "nats", recovery: true},
		`-only: "NoSuch" is none of fanout, fanout-1, fano`: {only: "NoSuch", write: t.TempDir()},
	} {
		o.results, o.rounds = filepath.Join(t.TempDir(), "results.json"), 1
		require.ErrorContains(t, run(t.Context(), o), says)
		assert.NoFileExists(t, o.results)
	}
	c, err := options{peers: "Spring,stompbox", only: "silent death", recovery: true}.choose()
	require.NoError(t, err)
	assert.Equal(t, choice{peers: []string{"Spring", "stompbox"}, only: []string{"silent death"}}, c)
}
