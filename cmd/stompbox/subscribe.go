package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/broker"
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
		Long:    "Print the messages of destinations until interrupted." + lineHelp,
		Example: "  stompbox subscribe '/topic/**'\n  stompbox subscribe --json --count 1 /topic/chat.room1\n  stompbox subscribe -H replay-last:10 /topic/chat.room1",
		Args:    cobra.MinimumNArgs(1),
	}
	client := newSTOMPFlags(cmd.Flags())
	cmd.Flags().IntVarP(&count, "count", "n", 0, "stop after this many messages; 0: never. Other messages of a queue stay there")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object with all headers per message")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "header of the SUBSCRIBE as name:value; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, destinations []string) error {
		if count < 0 {
			return notACount(count)
		}
		options, err := parseSubscribeOptions(headers)
		for _, d := range destinations {
			if err == nil {
				err = options.check(d, count)
			}
		}
		if err != nil {
			return err
		}
		conn, err := client.dial(cmd.Context())
		if err != nil {
			return err
		}
		messages := make(chan *stomp.Message)
		for _, d := range destinations {
			if err := subscribeTo(conn, d, options, messages); err != nil {
				return err
			}
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "subscribed; Ctrl-C ends it")
		show := func(m *stomp.Message) error { return printMessage(cmd.OutOrStdout(), m, asJSON) }
		return printMessages(cmd.Context(), conn, messages, count, show)
	}
	return cmd
}

func notACount(n int) error {
	return fmt.Errorf("--count %d: use 0 for all messages, or a number of them", n)
}

// subscribeOptions are the headers of a SUBSCRIBE that decide how messages come.
type subscribeOptions struct {
	ack      string // as it was asked for, or ""
	prefetch bool   // it was asked for
	durable  bool
	headers  []func(*frame.Frame) error // all but ack
}

func parseSubscribeOptions(headers []string) (o subscribeOptions, err error) {
	var others []string
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		switch name {
		case frame.Ack:
			o.ack = value
			continue
		case "prefetch-count", "activemq.prefetchSize":
			o.prefetch = true
		case broker.HeaderDurable:
			o.durable = strings.EqualFold(value, "true")
		}
		others = append(others, h)
	}
	switch o.ack {
	case "", "auto", "client", "client-individual":
	default:
		return o, fmt.Errorf("--header ack:%s: use auto, client or client-individual", o.ack)
	}
	o.headers, err = headerOptions(others, stomp.SubscribeOpt.Header, ownOfSubscribe)
	return o, err
}

// keeps reports whether the destination keeps messages that are not acknowledged.
func (o subscribeOptions) keeps(name string) bool {
	return o.durable || strings.HasPrefix(name, destination.QueuePrefix)
}

// check refuses what would lose messages: with ack:auto the broker removes those that it
// has sent, and it has sent more than are printed.
func (o subscribeOptions) check(name string, count int) error {
	if o.ack == "auto" && count > 0 && o.keeps(name) {
		return fmt.Errorf("--count with --header ack:auto takes messages of %s that are not printed; leave ack out, and those that are printed are acknowledged", name)
	}
	return nil
}

// subscribeTo has the messages of a destination come. Those of a queue or a durable
// subscription are taken one at a time, and acknowledged once they are printed, so that
// a subscriber that ends leaves there what it did not print.
func subscribeTo(conn *stomp.Conn, name string, o subscribeOptions, messages chan<- *stomp.Message) error {
	mode := stomp.AckAuto
	switch {
	case o.ack == "client":
		mode = stomp.AckClient
	case o.ack == "client-individual", o.ack == "" && o.keeps(name):
		mode = stomp.AckClientIndividual
	}
	headers := slices.Clone(o.headers)
	if o.keeps(name) && !o.prefetch {
		headers = append(headers, stomp.SubscribeOpt.Header("prefetch-count", "1"))
	}
	sub, err := conn.Subscribe(name, mode, headers...)
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
		return printLine(w, m.Destination, m.Header.Get("user"), string(m.Body))
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
