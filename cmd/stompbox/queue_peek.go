package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/httpapi"
)

func newQueuePeek(client *clientFlags) *cobra.Command {
	var count int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "peek QUEUE", Short: "Print messages of a queue, oldest first, and leave them as they are",
		Long:    "Print messages of a queue, oldest first, also those that consumers hold.\nThe messages stay in the queue, and no delivery is counted." + lineHelp + operatorsHelp,
		Args:    cobra.ExactArgs(1),
		Example: "  stompbox queue peek /queue/orders\n  stompbox queue peek -n 1 --json /queue/DLQ.orders",
	}
	cmd.Flags().IntVarP(&count, "count", "n", 10, "print at most this many; 0: all that are there now")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object with all headers per message")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if count < 0 {
			return notACount(count)
		}
		query := url.Values{"destination": args}
		for left := count; ; {
			limit := httpapi.MaxPeeked
			if count > 0 {
				limit = min(limit, left)
			}
			query.Set("limit", strconv.Itoa(limit))
			var seen httpapi.Peeked
			if err := client.ask(cmd.Context(), http.MethodGet, "/api/queues/peek", query, &seen); err != nil {
				return err
			}
			for _, m := range seen.Messages {
				if err := printPeeked(cmd.OutOrStdout(), m, asJSON); err != nil {
					return err
				}
			}
			left -= len(seen.Messages)
			if seen.Next == "" || count > 0 && left <= 0 {
				return nil
			}
			query.Set("after", seen.Next)
		}
	}
	return cmd
}

func printPeeked(w io.Writer, m httpapi.PeekedMessage, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(m)
	}
	body := ""
	if m.Body != nil {
		body = *m.Body
	} else if raw, err := base64.StdEncoding.DecodeString(m.Base64); err == nil {
		body = string(raw)
	}
	return printLine(w, m.Headers[frames.MessageID], m.Headers[driver.HeaderUser], body)
}
