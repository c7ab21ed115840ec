package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/internal/bench"
)

// scaleOptions are what `bench scale` is asked.
type scaleOptions struct {
	sweep
	asJSON bool
}

func newBenchScale() *cobra.Command {
	o := scaleOptions{sweep: sweep{numbers: []int{1000, 3000, 10_000, 30_000, 100_000}, rounds: 1, idle: bench.IdleFor}}
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "The cost of a session, for up to a million of them on one node, on transports in memory",
		Long: "Puts simulated sessions on a node in a separate process. Each has its own token, heart-beats both ways and a\nsubscription to a common topic. If costs grow linearly, the cost of a session stays the same.\n" +
			"The figures include the work of the simulated clients, which check each frame.\nA million sessions need 8 GB of memory.",
		Args: cobra.NoArgs,
	}
	o.addFlags(cmd.Flags(), "sessions", "up to a million")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "measure in this process, and print JSON")
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
	for _, n := range o.numbers {
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
	measure := func(n int) (r bench.Scale, err error) {
		// A process of its own for each, so that none inherits memory.
		child := exec.CommandContext(cmd.Context(), self, "bench", "scale", "--json", "--sessions", strconv.Itoa(n), "--idle", o.idle.String())
		child.Stderr, child.SysProcAttr = os.Stderr, benchProcess()
		text, err := child.Output()
		if cmd.Context().Err() != nil {
			return r, context.Cause(cmd.Context())
		}
		if err != nil {
			return r, err
		}
		return r, json.Unmarshal(text, &r)
	}
	return runSweep(o.sweep, "sessions", measure, report[bench.Scale]{bench.MedianScale, func(r bench.Scale) { printScale(out, r) }, bench.ScaleCharts})
}

func printScale(out io.Writer, r bench.Scale) {
	fmt.Fprintf(out, "%8d %9.1f %8.0f %9.2f %6.0fms %10.1f %12.1f %10.0f %10.2f %10.1f %9.1f %4d\n",
		r.Sessions, r.ConnectCPU, r.SessionBytes, r.DeliveryCPU, r.PublishMS, r.SubscribeCPU, r.UnsubscribeCPU, r.OwnBytes, r.IdleCPU, r.ReconnectCPU, r.ReconnectSecond, r.RSS>>20)
}
