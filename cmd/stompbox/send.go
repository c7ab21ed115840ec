package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
)

func newSend() *cobra.Command {
	var contentType string
	var wait time.Duration
	var headers []string
	cmd := &cobra.Command{
		Use:     "send DESTINATION [BODY]",
		Short:   "Send one message, from standard input when there is no BODY, and wait for its receipt",
		Long:    "Send one message, from standard input when there is no BODY, and wait for its receipt.\nIt fails if the broker, an interceptor or an app server reports that the message was\nnot accepted.",
		Example: "  stompbox send /topic/chat.room1 'hello'\n  stompbox send --url tcp://127.0.0.1:61613 /topic/chat.room1 < file",
		Args:    cobra.RangeArgs(1, 2),
	}
	client := newSTOMPFlags(cmd.Flags())
	cmd.Flags().StringVar(&contentType, "content-type", "text/plain", "content-type header")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "header as name:value; may be repeated")
	cmd.Flags().DurationVar(&wait, "wait", 500*time.Millisecond, "for a request to /app, how long to wait after the receipt for a report of a failure")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := bodyOf(cmd, args)
		if err != nil {
			return err
		}
		options := []func(*frame.Frame) error{stomp.SendOpt.Receipt}
		more, err := headerOptions(headers, stomp.SendOpt.Header, ownOfSend)
		if err != nil {
			return err
		}
		options = append(options, more...)
		if !strings.HasPrefix(args[0], destination.AppPrefix) {
			wait = 0
		}
		send := func(conn *stomp.Conn) error { return conn.Send(args[0], contentType, body, options...) }
		return client.sendAndHear(cmd.Context(), send, wait)
	}
	return cmd
}

// failuresDestination is where a session learns that a message was rejected, or that an
// app server did not take it.
const failuresDestination = "/user/queue/errors"

// reasonTimeout is how long the ERROR of a connection that cannot be written to may take.
const reasonTimeout = 2 * time.Second

// sendAndHear sends on a connection of its own, and returns what is reported of it before
// its receipt, or until wait is over after it.
func (c *clientFlags) sendAndHear(ctx context.Context, send func(*stomp.Conn) error, wait time.Duration) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	failures, err := conn.Subscribe(failuresDestination, stomp.AckAuto)
	if err == nil {
		err = sendOrHear(conn, send, failures)
	}
	if err != nil && strings.Contains(err.Error(), strconv.Quote(failuresDestination)) {
		// It may send and not subscribe to that, so it cannot learn more. Nothing was sent.
		if conn, err = c.dial(ctx); err != nil {
			return err
		}
		if err := send(conn); err != nil {
			return err
		}
		return conn.Disconnect()
	}
	if err != nil {
		return err
	}
	select {
	case m, ok := <-failures.C:
		if ok {
			return failureOf(m)
		}
	case <-time.After(wait):
	case <-ctx.Done():
	}
	// The STOMP client may miss that the RECEIPT has come, and then waits for a timeout. It
	// closes the channel in any case.
	go func() { _ = failures.Unsubscribe() }()
	if m, ok := <-failures.C; ok { // it came before its receipt
		return failureOf(m)
	}
	return conn.Disconnect()
}

// sendOrHear sends, and returns what is reported of it. The STOMP client may miss an ERROR
// that comes while a frame is on its way, and then waits for a timeout; the subscription
// has it in any case.
func sendOrHear(conn *stomp.Conn, send func(*stomp.Conn) error, failures *stomp.Subscription) error {
	sent := make(chan error, 1)
	go func() { sent <- send(conn) }()
	select {
	case m, ok := <-failures.C:
		if ok {
			return failureOf(m)
		}
		return stomp.ErrClosedUnexpectedly
	case err := <-sent:
		if err == nil {
			return nil
		}
		select {
		case m, ok := <-failures.C: // why the connection has ended
			if reason := (*stomp.Error)(nil); ok && errors.As(m.Err, &reason) && reason.Frame != nil {
				return m.Err
			}
		case <-time.After(reasonTimeout): // it has not
		}
		return err
	}
}

// failureOf is what a MESSAGE says of a SEND that failed.
func failureOf(m *stomp.Message) error {
	if m.Err != nil {
		return m.Err
	}
	return fmt.Errorf("%s: %s", m.Header.Get(broker.HeaderCode), m.Body)
}

// bodyOf returns the second argument, or else what standard input has.
func bodyOf(cmd *cobra.Command, args []string) ([]byte, error) {
	if len(args) == 2 {
		return []byte(args[1]), nil
	}
	return io.ReadAll(cmd.InOrStdin())
}

// The headers that commands set themselves, and what sets them.
var (
	ownOfSend = map[string]string{
		frame.Destination: "the argument DESTINATION", frame.ContentType: "--content-type", frame.ContentLength: "the length of the body",
		frame.Receipt: "the command, which waits for the receipt", frame.Transaction: "nothing: the command sends one message",
	}
	ownOfSubscribe = map[string]string{frame.Destination: "the argument DESTINATION", frame.Receipt: "the command"}
)

// headerOptions makes the options of headers that were given as name:value. The first header of
// a name counts, so one that the command sets itself would be ignored.
func headerOptions(headers []string, option func(name, value string) func(*frame.Frame) error, own map[string]string) (all []func(*frame.Frame) error, err error) {
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("--header %q is not name:value", h)
		}
		if by, ok := own[name]; ok {
			return nil, fmt.Errorf("--header %s: it is set by %s", h, by)
		}
		all = append(all, option(name, value))
	}
	return all, nil
}
