package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/destination"
)

func newSubscribe() *cobra.Command {
	var count int
	var asJSON bool
	var headers []string
	cmd := &cobra.Command{
		Use:     "subscribe DESTINATION...",
		Aliases: []string{"listen"},
		Short:   "Print the messages of destinations until interrupted",
		Example: "  stompbox subscribe '/topic/**'\n  stompbox subscribe --json --count 1 /topic/chat.room1\n  stompbox subscribe -H replay-last:10 /topic/chat.room1",
		Args:    cobra.MinimumNArgs(1),
	}
	client := newClientFlags(cmd.Flags())
	cmd.Flags().IntVarP(&count, "count", "n", 0, "stop after so many messages; 0 does not stop")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object with all headers per message")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "header of the SUBSCRIBE as name:value; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, destinations []string) error {
		ack, options, err := subscribeOptions(headers)
		if err != nil {
			return err
		}
		conn, err := client.dial(cmd.Context())
		if err != nil {
			return err
		}
		messages := make(chan *stomp.Message)
		for _, d := range destinations {
			if err := subscribeTo(conn, d, ack, options, messages); err != nil {
				return err
			}
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "subscribed; Ctrl-C ends it")
		show := func(m *stomp.Message) error { return printMessage(cmd.OutOrStdout(), m, asJSON) }
		return printMessages(cmd.Context(), conn, messages, count, show)
	}
	return cmd
}

// subscribeOptions reads the headers of a SUBSCRIBE. An ack header says how messages
// are acknowledged; it is "" where there is none.
func subscribeOptions(headers []string) (ack string, options []func(*frame.Frame) error, err error) {
	var others []string
	for _, h := range headers {
		if value, ok := strings.CutPrefix(h, "ack:"); ok {
			ack = value
			continue
		}
		others = append(others, h)
	}
	switch ack {
	case "", "auto", "client", "client-individual":
	default:
		return "", nil, fmt.Errorf("--header ack:%s: use auto, client or client-individual", ack)
	}
	options, err = headerOptions(others, stomp.SubscribeOpt.Header)
	return ack, options, err
}

// subscribeTo has the messages of a destination come. A queue's are taken one at a
// time, and acknowledged once they are printed, so that a subscriber that ends leaves
// in the queue what it did not print.
func subscribeTo(conn *stomp.Conn, name, ack string, options []func(*frame.Frame) error, messages chan<- *stomp.Message) error {
	mode := stomp.AckAuto
	switch {
	case ack == "client":
		mode = stomp.AckClient
	case ack == "client-individual", ack == "" && strings.HasPrefix(name, destination.QueuePrefix):
		mode = stomp.AckClientIndividual
	}
	if strings.HasPrefix(name, destination.QueuePrefix) {
		options = append([]func(*frame.Frame) error{stomp.SubscribeOpt.Header("prefetch-count", "1")}, options...)
	}
	sub, err := conn.Subscribe(name, mode, options...)
	if err != nil {
		return err
	}
	go func() {
		for m := range sub.C {
			messages <- m
		}
		messages <- nil
	}()
	return nil
}

// printMessages prints count messages, or with 0 all that come until ctx is done.
func printMessages(ctx context.Context, conn *stomp.Conn, messages <-chan *stomp.Message, count int, show func(*stomp.Message) error) error {
	for n := 0; count == 0 || n < count; n++ {
		var m *stomp.Message
		select {
		case <-ctx.Done():
			return conn.Disconnect()
		case m = <-messages:
		}
		if m == nil {
			return errors.New("the broker closed the connection")
		}
		if m.Err != nil {
			return m.Err
		}
		if err := show(m); err != nil {
			return err
		}
		if m.ShouldAck() {
			if err := conn.Ack(m); err != nil {
				return err
			}
		}
	}
	return conn.Disconnect()
}

func printMessage(w io.Writer, m *stomp.Message, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprintf(w, "%s  %s  %s\n", m.Destination, m.Header.Get("user"), m.Body)
		return err
	}
	return json.NewEncoder(w).Encode(struct {
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}{headerMap(m.Header), string(m.Body)})
}

func headerMap(h *frame.Header) map[string]string {
	all := make(map[string]string, h.Len())
	for i := range h.Len() {
		name, value := h.GetAt(i)
		if _, twice := all[name]; !twice {
			all[name] = value
		}
	}
	return all
}
