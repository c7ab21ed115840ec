package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/printable"
)

func newQueue() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Look at queues, purge them, and move dead letters back",
		Long:  "These commands ask a running broker over HTTP. They see the queues that the token or\nlogin may subscribe to, and move messages to those that it may send to.",
	}
	client := newClientFlags(cmd.PersistentFlags())
	cmd.AddCommand(newQueueList(client), newQueueShow(client), newQueuePeek(client), newQueuePurge(client), newQueueGet(client), newQueueMove(client), newQueueRequeue(client))
	return cmd
}

func newQueueList(client *clientFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "list", Short: "List all queues", Args: cobra.NoArgs}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var all []driver.QueueInfo
		if err := client.ask(cmd.Context(), http.MethodGet, "/api/queues", nil, &all); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.TabIndent)
		fmt.Fprintln(w, "MESSAGES\tHELD\tREDELIVERED\t  QUEUE\t")
		for _, q := range all {
			fmt.Fprintf(w, "%d\t%d\t%d\t  %s\t\n", q.Messages, q.Held, q.Redelivered, printable.Field(q.Name))
		}
		return w.Flush()
	}
	return cmd
}

func newQueueShow(client *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show QUEUE", Short: "Show one queue", Args: named(cobra.ExactArgs(1)), Example: "  stompbox queue show /queue/orders",
		RunE: func(cmd *cobra.Command, args []string) error {
			var q driver.QueueInfo
			if err := client.ask(cmd.Context(), http.MethodGet, "/api/queues", url.Values{"destination": args}, &q); err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "queue        %s\nmessages     %d\n  in memory  %d\n  held       %d by consumers, %d of them delivered before\n", printable.Field(q.Name), q.Messages, q.InMemory, q.Held, q.Redelivered)
			if q.MaxMessages > 0 || q.MaxBytes > 0 {
				fmt.Fprintf(w, "bytes        %d\nlimits       %d messages, %d bytes (0: none)\n", q.Bytes, q.MaxMessages, q.MaxBytes)
			}
			return nil
		},
	}
}

func newQueuePurge(client *clientFlags) *cobra.Command {
	var yes bool
	var filter purgeFilter
	cmd := &cobra.Command{Use: "purge QUEUE", Short: "Remove all messages of a queue for good, or those that match", Args: named(cobra.ExactArgs(1)), Long: "Remove all messages of a queue for good, or those that match all filters. With --id the exit code\nis 1 if there is no such message." + operatorsHelp, Example: "  stompbox queue purge --yes /queue/DLQ.orders\n  stompbox queue purge --yes /queue/orders --older 24h --header type:test"}
	cmd.Flags().StringVar(&filter.id, "id", "", "only the message with this message-id")
	cmd.Flags().StringVar(&filter.user, "user", "", "only messages that this user sent")
	cmd.Flags().DurationVar(&filter.older, "older", 0, "only messages that are older, such as 24h")
	cmd.Flags().StringArrayVar(&filter.headers, "header", nil, "only messages with this header, as name:value; name: means an empty value; may be repeated")
	cmd.Flags().BoolVar(&yes, "yes", false, "really do it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			return errors.New("this deletes the messages of the queue for good; add --yes to confirm")
		}
		purged, query := uint64(0), filter.query(args[0], cmd.Flags())
		for {
			var answer httpapi.Purged
			if err := client.ask(cmd.Context(), http.MethodPost, "/api/queues/purge", query, &answer); err != nil {
				return err
			}
			if purged += answer.Purged; answer.Next == "" {
				break
			}
			query.Set("after", answer.Next)
		}
		if purged == 0 && query.Has("id") {
			return fmt.Errorf("no message of %s has the id %s and what the other filters ask for; a consumer may have acknowledged it", args[0], filter.id)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "purged %d messages of %s\n", purged, printable.Field(args[0]))
		return nil
	}
	return cmd
}

func newQueueMove(client *clientFlags) *cobra.Command {
	var to string
	var most int
	cmd := &cobra.Command{
		Use: "move QUEUE", Short: "Move messages that no consumer holds: dead letters back to their queue, or --to another one",
		Args:    named(cobra.ExactArgs(1)),
		Example: "  stompbox queue move /queue/DLQ.orders\n  stompbox queue move /queue/orders --to /queue/orders.old",
	}
	cmd.Flags().StringVar(&to, "to", "", "queue to move to; without it, where a dead letter came from")
	cmd.Flags().IntVarP(&most, "count", "n", 0, "move at most this many; 0: all that are there now")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if most < 0 {
			return notACount(most)
		}
		if cmd.Flags().Changed("to") && strings.TrimSpace(to) == "" {
			return errors.New("--to is empty; name a queue, or leave it out: then dead letters go back to where they came from")
		}
		var q driver.QueueInfo
		if err := client.ask(cmd.Context(), http.MethodGet, "/api/queues", url.Values{"destination": args}, &q); err != nil {
			return err
		}
		total := int(q.Messages) - q.Held
		if most > 0 {
			total = min(total, most)
		}
		moved, err := client.move(cmd.Context(), cmd.ErrOrStderr(), args[0], to, total)
		fmt.Fprintf(cmd.OutOrStdout(), "moved %d of %d messages from %s\n", moved, total, printable.Field(args[0]))
		if err == nil && moved < total {
			err = errors.New("the others stay in the queue: a consumer holds them, they are not dead letters (use --to), or you may not send to the queue that they came from")
		}
		return err
	}
	return cmd
}

// move moves total messages, some hundred at a time, and shows how far it is.
func (c *clientFlags) move(ctx context.Context, progress io.Writer, from, to string, total int) (moved int, err error) {
	bar := progressBar{w: progress, total: total}
	defer bar.end()
	for moved < total {
		var answer struct{ Moved int }
		query := url.Values{"destination": {from}, "limit": {fmt.Sprint(min(total-moved, httpapi.MaxMoved))}}
		if to != "" {
			query.Set("to", to)
		}
		if err := c.ask(ctx, http.MethodPost, "/api/queues/move", query, &answer); err != nil || answer.Moved == 0 {
			return moved, err
		}
		moved += answer.Moved
		bar.show(moved)
	}
	return moved, nil
}

// progressBar draws on one line of a terminal or log, when it takes long.
type progressBar struct {
	w     io.Writer
	total int
	since time.Time
	drawn bool
}

func (b *progressBar) show(done int) {
	const width = 40
	if b.since.IsZero() {
		b.since = time.Now()
	}
	if b.total <= httpapi.MaxMoved {
		return
	}
	full := done * width / b.total
	fmt.Fprintf(b.w, "\r[%s%s] %d of %d, %s", strings.Repeat("#", full), strings.Repeat(".", width-full), done, b.total, time.Since(b.since).Round(time.Second))
	b.drawn = true
}

func (b *progressBar) end() {
	if b.drawn {
		fmt.Fprintln(b.w)
	}
}
