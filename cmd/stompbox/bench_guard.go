package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/internal/bench"
)

// guarded are what is compared between two builds. Their figures are CPU per delivery or
// message, and memory per connection, except for the ratio of streams.
var guarded = []benchmark{
	{"fanout", "CPU s per million deliveries, 64 in flight", benchFanout, benchOptions{connections: 1000, messages: 2000, inFlight: 64}},
	{"fanout-1", "CPU s per million deliveries, 1 in flight", benchFanout, benchOptions{connections: 1000, messages: 200, inFlight: 1}},
	{"streams", "CPU of a delivery to a stream of events, as the ratio to a WebSocket", benchEvents, benchOptions{connections: 1000, messages: 1000, inFlight: 64}},
	{"pingpong", "CPU s per million messages, one at a time", benchPingpongCPU, benchOptions{connections: 2, messages: 20000, inFlight: 1}},
	{"queue", "CPU s per million messages in and out of a durable queue", benchQueue, benchOptions{connections: 4, messages: 100000, inFlight: 256}},
	{"private", "KB of an idle WebSocket with a destination of its own", benchPrivate, benchOptions{connections: 2000}},
}

// guardOptions are what `bench guard` is asked.
type guardOptions struct {
	base   string
	rounds int
	only   []string
}

func newBenchGuard() *cobra.Command {
	o := guardOptions{rounds: 7}
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Compare this build with another one, in alternating rounds; fails if it is worse beyond noise",
		Args:  cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.base, "base", "", "the stompbox binary to compare with")
	f.IntVar(&o.rounds, "rounds", o.rounds, "rounds of each build")
	f.StringSliceVar(&o.only, "only", nil, "benchmarks to run, of "+strings.Join(guardedNames(), ", ")+"; all by default")
	_ = cmd.MarkFlagRequired("base")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runBenchGuard(cmd.Context(), cmd.OutOrStdout(), o) }
	return cmd
}

func guardedNames() []string {
	names := make([]string, len(guarded))
	for i, b := range guarded {
		names[i] = b.name
	}
	return names
}

func runBenchGuard(ctx context.Context, out io.Writer, o guardOptions) error {
	base, err := filepath.Abs(o.base)
	if err != nil {
		return err
	}
	if _, err := os.Stat(base); err != nil {
		return fmt.Errorf("--base: %w", err)
	}
	if o.rounds < 3 {
		return errors.New("--rounds: noise shows in 3 rounds or more")
	}
	for _, name := range o.only {
		if !slices.Contains(guardedNames(), name) {
			return fmt.Errorf("--only: there is no %q; there are %s", name, strings.Join(guardedNames(), ", "))
		}
	}
	var failed []string
	for _, b := range guarded {
		if len(o.only) > 0 && !slices.Contains(o.only, b.name) {
			continue
		}
		j, err := b.compare(ctx, base, o.rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		fmt.Fprintf(out, "%-9s %s (%s)\n", b.name, j, b.short)
		if j.Failed() {
			failed = append(failed, b.name)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("worse than the base, or too noisy to tell: %s", strings.Join(failed, ", "))
	}
	return nil
}

// compare runs both builds in turns. Which is first changes from round to round, so that
// neither always runs on a machine that the other one warmed.
func (b benchmark) compare(ctx context.Context, base string, rounds int) (bench.Judgement, error) {
	o := b.options
	o.size = 128
	var figures [2][]float64
	for i := range rounds {
		for turn := range 2 {
			build := (i + turn) % 2
			o.server = []string{base, ""}[build]
			_, figure, err := b.round(ctx, o)
			if err != nil {
				return bench.Judgement{}, fmt.Errorf("%s: %w", []string{"base", "head"}[build], err)
			}
			figures[build] = append(figures[build], figure)
		}
	}
	return bench.Judge(figures[0], figures[1])
}
