package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/internal/printable"
)

// requestReplyTo is where the answer comes, as RabbitMQ's clients have it.
const requestReplyTo = "/temp-queue/answers"

// ownOfRequest is for a request's: its answer comes to the command.
var ownOfRequest = map[string]string{
	frame.Destination: "the argument DESTINATION", frame.ContentLength: "the length of the body", frame.Receipt: "the command",
	frame.Transaction: "nothing: the command sends one message", stomp.ReplyToHeader: "the command, which prints the answer",
}

func newRequest() *cobra.Command {
	var headers []string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:     "request DESTINATION [BODY]",
		Aliases: []string{"ask"},
		Short:   "Send a request to an app server, from standard input when there is no BODY, and print the answer",
		Long:    "Send a request to an app server, from standard input when there is no BODY, and print the body of\nthe answer: in a terminal with escapes such as \\x1b for what is not printable, elsewhere as it is.",
		Example: "  stompbox request /app/chat.members lobby\n  stompbox request --token-file token.txt -H room:lobby /app/chat.members ''",
		Args:    cobra.RangeArgs(1, 2),
	}
	client := newSTOMPFlags(cmd.Flags())
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "header as name:value; may be repeated")
	cmd.Flags().DurationVar(&wait, "wait", 60*time.Second, "how long to wait for the answer")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := bodyOf(cmd, args)
		if err != nil {
			return err
		}
		options, err := headerOptions(headers, stomp.SendOpt.Header, ownOfRequest)
		if err != nil {
			return err
		}
		conn, err := client.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Disconnect() }()
		// Not sent: it says where the client has the answer go.
		answers, err := conn.Subscribe(requestReplyTo, stomp.AckAuto, stomp.SubscribeOpt.Header(stomp.ReplyToHeader, requestReplyTo))
		if err != nil {
			return err
		}
		options = append(options, stomp.SendOpt.Header(stomp.ReplyToHeader, requestReplyTo))
		if err := conn.Send(args[0], "text/plain", body, options...); err != nil {
			return err
		}
		select {
		case m, ok := <-answers.C:
			switch {
			case !ok:
				return errors.New("the connection ended before an answer came")
			case m.Err != nil:
				return m.Err
			case m.Header.Get("error") != "":
				return fmt.Errorf("%s: %s", m.Header.Get("error"), m.Body)
			}
			body := string(m.Body)
			if onTerminal(cmd.OutOrStdout()) {
				body = printable.Lines(body)
			}
			fmt.Fprintln(cmd.OutOrStdout(), body)
			return nil
		case <-time.After(wait):
			return fmt.Errorf("no answer within %s", wait)
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		}
	}
	return cmd
}
