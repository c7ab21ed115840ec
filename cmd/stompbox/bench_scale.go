package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/internal/bench"
)

// scaleOptions are what `bench scale` is asked.
type scaleOptions struct {
	sessions []int
	rounds   int
	idle     time.Duration
	charts   string
	asJSON   bool
}

func newBenchScale() *cobra.Command {
	o := scaleOptions{sessions: []int{1000, 3000, 10_000, 30_000, 100_000}, rounds: 1, idle: bench.IdleFor}
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "What a session costs one node that has up to a million of them, on transports in memory",
		Long: "Puts sessions that are simulated on a node in a process of its own: each has a token of its own, heart-beats\nboth ways and a subscription that all have. What a session costs stays the same where costs grow\n" +
			"linearly. The work of the simulated clients, which check each frame, is in the figures.\nA million sessions need 8 GB of memory.",
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.IntSliceVar(&o.sessions, "sessions", o.sessions, "numbers of sessions, up to a million")
	f.IntVar(&o.rounds, "rounds", o.rounds, "rounds of each number, of which the medians are printed")
	f.DurationVar(&o.idle, "idle", o.idle, "how long idle sessions are measured")
	f.StringVar(&o.charts, "charts", "", "folder for charts as SVG")
	f.BoolVar(&o.asJSON, "json", false, "measure in this process, and print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.asJSON {
			return measureScale(cmd, o)
		}
		return runBenchScale(cmd, o)
	}
	return cmd
}

const maxSimulated = 1_000_000

func measureScale(cmd *cobra.Command, o scaleOptions) error {
	for _, n := range o.sessions {
		if n < 1 || n > maxSimulated {
			return fmt.Errorf("--sessions: %d is not 1 to %d", n, maxSimulated)
		}
		r, err := bench.MeasureScale(cmd.Context(), n, o.idle, cmd.ErrOrStderr())
		if err != nil {
			return fmt.Errorf("%d sessions: %w", n, err)
		}
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func runBenchScale(cmd *cobra.Command, o scaleOptions) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintln(out, "sessions   connect  session  delivery  publish  subscribe  unsubscribe  own dest.  idle us/s  reconnect  all back  RSS")
	fmt.Fprintln(out, "             us CPU    bytes    us CPU   to all     us CPU       us CPU      bytes        CPU     us CPU         s  MB")
	var all []bench.Scale
	for _, n := range o.sessions {
		rounds := make([]bench.Scale, o.rounds)
		for i := range rounds {
			// A process of its own for each, so that none inherits memory.
			child := exec.CommandContext(cmd.Context(), self, "bench", "scale", "--json", "--sessions", strconv.Itoa(n), "--idle", o.idle.String())
			child.Stderr = os.Stderr
			text, err := child.Output()
			if err != nil {
				return fmt.Errorf("%d sessions: %w", n, err)
			}
			if err := json.Unmarshal(text, &rounds[i]); err != nil {
				return err
			}
		}
		r := bench.MedianScale(rounds)
		all = append(all, r)
		printScale(out, r)
	}
	if o.charts == "" {
		return nil
	}
	return writeCharts(o.charts, bench.ScaleCharts(all))
}

func printScale(out io.Writer, r bench.Scale) {
	fmt.Fprintf(out, "%8d %9.1f %8.0f %9.2f %6.0fms %10.1f %12.1f %10.0f %10.2f %10.1f %9.1f %4d\n",
		r.Sessions, r.ConnectCPU, r.SessionBytes, r.DeliveryCPU, r.PublishMS, r.SubscribeCPU, r.UnsubscribeCPU, r.OwnBytes, r.IdleCPU, r.ReconnectCPU, r.ReconnectSecond, r.RSS>>20)
}

// writeCharts writes drawings by name into a folder.
func writeCharts(dir string, charts map[string]string) error {
	var errs []error
	for name, drawing := range charts {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(drawing), 0o644)) //nolint:gosec // everybody may read a chart
	}
	return errors.Join(errs...)
}
