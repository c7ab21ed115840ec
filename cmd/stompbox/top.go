package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/internal/top"
)

// topSessions is how many sessions are asked for, so that those that come first in
// one order are there in another one.
const topSessions = "1000"

func newTop() *cobra.Command {
	cmd, client := operatorCommand("top", "Show live sessions, rates, and the slowest consumers", "  stompbox top --url http://127.0.0.1:9465 --token-file admin.token\n  stompbox top --once --order out", cobra.NoArgs)
	cmd.Long = `Show the nodes and what they do in a second, and sessions: those first whose clients do not
read what waits for them. WAITING is bytes that a client has not read, and STUCK how long
it has taken nothing. Of more than 1000 sessions, those are looked at that have the
most waiting, or the most bytes in all.

In a terminal, keys choose the order: s (slowest), i (in), o (out), u (user). Space pauses, and
q ends. Elsewhere, and where TERM is dumb, it prints one page after the other. Columns that do
not fit are left out, those first that say the least.` + operatorsHelp
	t := &topCommand{client: client}
	var order string
	var orders []string
	cmd.Flags().StringVar(&order, "order", string(top.BySlowest), "slowest, in, out or user: which sessions come first")
	for _, o := range top.Orders() {
		orders = append(orders, string(o))
	}
	completeFlag(cmd, "order", orders...)
	cmd.Flags().DurationVar(&t.interval, "interval", 2*time.Second, "how often it looks")
	cmd.Flags().IntVarP(&t.count, "count", "n", 20, "list so many sessions at most; in a terminal, as many as fit")
	cmd.Flags().BoolVar(&t.once, "once", false, "print one page of text, with the rates of one interval")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if t.order, err = top.ParseOrder(order); err != nil {
			return err
		}
		if t.interval < 100*time.Millisecond {
			return errors.New("--interval has to be 100ms or more")
		}
		if out, ok := cmd.OutOrStdout().(*os.File); ok && !t.once && onTerminal(out) && controlsTerminal() {
			return t.interactive(cmd.Context(), out)
		}
		return t.print(cmd.Context(), cmd.OutOrStdout())
	}
	return cmd
}

type topCommand struct {
	client   *clientFlags
	order    top.Order
	interval time.Duration
	count    int
	once     bool
}

// controlsTerminal reports whether the terminal is one that takes sequences.
func controlsTerminal() bool { return os.Getenv("TERM") != "dumb" }

// sample asks for what the nodes do.
func (t *topCommand) sample(ctx context.Context, order top.Order) (*top.Sample, error) {
	s := new(top.Sample)
	if err := t.client.ask(ctx, http.MethodGet, "/api/nodes", nil, s); err != nil {
		return nil, err
	}
	missing := s.Missing
	s.Missing = nil
	if err := t.client.ask(ctx, http.MethodGet, "/api/sessions", url.Values{"order": {order.OfAPI()}, "limit": {topSessions}}, s); err != nil {
		return nil, err
	}
	if len(missing) > len(s.Missing) {
		s.Missing = missing
	}
	s.At = time.Now()
	return s, nil
}

// print writes pages as text, the first one after an interval, as rates need two samples.
func (t *topCommand) print(ctx context.Context, out io.Writer) error {
	before, err := t.sample(ctx, t.order)
	if err != nil {
		return err
	}
	tick := time.NewTicker(t.interval)
	defer tick.Stop()
	page := top.Page{Order: t.order, Sessions: t.count}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := t.sample(ctx, t.order)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, line := range page.Lines(before, now) {
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
		}
		if t.once {
			return nil
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
		before = now
	}
}
