package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"
)

func newListen() *cobra.Command {
	var count int
	var asJSON bool
	var headers []string
	cmd := &cobra.Command{
		Use:     "listen DESTINATION...",
		Short:   "Print the messages of destinations until interrupted",
		Example: "  stompbox listen '/topic/**'\n  stompbox listen --json --count 1 /topic/chat.room1\n  stompbox listen -H replay-last:10 /topic/chat.room1",
		Args:    cobra.MinimumNArgs(1),
	}
	client := newClientFlags(cmd.Flags())
	cmd.Flags().IntVarP(&count, "count", "n", 0, "stop after so many messages; 0 does not stop")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object with all headers per message")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "header of the SUBSCRIBE as name:value; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, destinations []string) error {
		options, err := headerOptions(headers, stomp.SubscribeOpt.Header)
		if err != nil {
			return err
		}
		conn, err := client.dial(cmd.Context())
		if err != nil {
			return err
		}
		messages := make(chan *stomp.Message)
		for _, d := range destinations {
			sub, err := conn.Subscribe(d, stomp.AckAuto, options...)
			if err != nil {
				return err
			}
			go func() {
				for m := range sub.C {
					messages <- m
				}
				messages <- nil
			}()
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "listening; Ctrl-C ends it")
		for n := 0; count == 0 || n < count; n++ {
			select {
			case <-cmd.Context().Done():
				return conn.Disconnect()
			case m := <-messages:
				if m == nil {
					return errors.New("the broker closed the connection")
				}
				if m.Err != nil {
					return m.Err
				}
				if err := printMessage(cmd.OutOrStdout(), m, asJSON); err != nil {
					return err
				}
			}
		}
		return conn.Disconnect()
	}
	return cmd
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
