package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	tools "github.com/stompbox/stompbox/internal/bench"
)

// results are what is known of each peer, by load and by failure.
type results struct {
	file     string
	Loads    map[string]map[string]*outcome `json:"loads"`
	Recovery map[string]map[string]*outcome `json:"recovery"`
}

// outcome is what one run measured of a load of a peer. A later run of the same load
// replaces all of it, so that no figure stands under the date of another.
type outcome struct {
	origin
	Figures map[string][]float64 `json:"figures"` // of each round
	// Others are the shares of the machine's cores that other programs used, in each round.
	Others []float64 `json:"others,omitempty"`
	// Late is how many rounds do not count because the load generator fell behind the clock.
	Late   int    `json:"late,omitempty"`
	Failed string `json:"failed,omitempty"` // why there is no figure
}

// origin is where figures come from.
type origin struct {
	Measured string `json:"measured"` // the date on which the run began
	Machine  string `json:"machine"`
	Version  string `json:"version"` // of the peer
}

// recoveryShare is the figure of a failure.
const recoveryShare = "share"

func newResults(file string) *results {
	return &results{file: file, Loads: map[string]map[string]*outcome{}, Recovery: map[string]map[string]*outcome{}}
}

func loadResults(file string) (*results, error) {
	r := newResults(file)
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(text, r)
}

func (r *results) save() error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.file, append(text, '\n'), 0o644) //nolint:gosec // everybody may read results
}

// find returns the outcome that has a figure, or nil. A figure begins with its load's name.
func (r *results) find(peer, figure string) *outcome {
	name, _, _ := strings.Cut(figure, " ")
	return r.Loads[peer][name]
}

// figure returns the median of a figure's rounds, or NaN.
func (r *results) figure(peer, figure string) float64 {
	o := r.find(peer, figure)
	if o == nil || len(o.rounds(figure)) == 0 {
		return math.NaN()
	}
	return tools.Median(o.rounds(figure))
}

// rounds returns a figure of each round. One that failed has none.
func (o *outcome) rounds(figure string) []float64 {
	if o.Failed != "" {
		return nil
	}
	return o.Figures[figure]
}

func (o *outcome) count() (n int) {
	for figure := range o.Figures {
		n = max(n, len(o.rounds(figure)))
	}
	return n
}

// session adds what one run measures to the results.
type session struct {
	kept   map[string]map[string]*outcome // the part of the results that is measured
	origin origin
	fresh  map[*outcome]bool
}

func newSession(kept map[string]map[string]*outcome, measured, machine string) *session {
	return &session{kept: kept, origin: origin{Measured: measured, Machine: machine}, fresh: map[*outcome]bool{}}
}

// outcome returns that of this run. The first call drops what an earlier run left.
func (s *session) outcome(peer, name, version string) *outcome {
	if o := s.kept[peer][name]; s.fresh[o] {
		return o
	}
	if s.kept[peer] == nil {
		s.kept[peer] = map[string]*outcome{}
	}
	o := &outcome{origin: s.origin, Figures: map[string][]float64{}}
	o.Version = version
	s.kept[peer][name] = o
	s.fresh[o] = true
	return o
}

// note adds a round. A load that failed once has no figure.
func (o *outcome) note(got figures, others float64, err error) {
	switch {
	case errors.Is(err, errLate):
		o.Late++
		return
	case err != nil:
		o.Failed = err.Error()
		return
	}
	o.Others = append(o.Others, math.Round(others*100)/100)
	for name, figure := range got {
		o.Figures[name] = append(o.Figures[name], figure)
	}
}

// noteShare adds a round of a failure.
func (o *outcome) noteShare(share float64, err error) {
	if err != nil {
		o.Failed = err.Error()
		return
	}
	o.Figures[recoveryShare] = append(o.Figures[recoveryShare], share)
}

// finish returns an error that names what failed in this run. What has no round that counts
// has failed too.
func (s *session) finish() error {
	var failed []string
	for peer, all := range s.kept {
		for name, o := range all {
			if !s.fresh[o] {
				continue
			}
			if o.Failed == "" && o.count() == 0 {
				o.Failed = fmt.Sprintf("no round counts: %v", errLate)
			}
			if o.Failed != "" {
				failed = append(failed, fmt.Sprintf("%s, %s: %s", peer, name, o.Failed))
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	slices.Sort(failed)
	return fmt.Errorf("%d failed:\n%s", len(failed), strings.Join(failed, "\n"))
}
