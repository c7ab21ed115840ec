package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"
)

func newSend() *cobra.Command {
	var contentType string
	var headers []string
	cmd := &cobra.Command{
		Use:     "send DESTINATION [BODY]",
		Short:   "Send one message, from standard input when there is no BODY, and wait for its receipt",
		Example: "  stompbox send /topic/chat.room1 'hello'\n  stompbox send --url tcp://127.0.0.1:61613 /topic/chat.room1 < file",
		Args:    cobra.RangeArgs(1, 2),
	}
	client := newClientFlags(cmd.Flags())
	cmd.Flags().StringVar(&contentType, "content-type", "text/plain", "content-type header")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "header as name:value; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := bodyOf(cmd, args)
		if err != nil {
			return err
		}
		options := []func(*frame.Frame) error{stomp.SendOpt.Receipt}
		more, err := headerOptions(headers, stomp.SendOpt.Header)
		if err != nil {
			return err
		}
		options = append(options, more...)
		conn, err := client.dial(cmd.Context())
		if err != nil {
			return err
		}
		if err := conn.Send(args[0], contentType, body, options...); err != nil {
			return err
		}
		return conn.Disconnect()
	}
	return cmd
}

// bodyOf returns the second argument, or else what standard input has.
func bodyOf(cmd *cobra.Command, args []string) ([]byte, error) {
	if len(args) == 2 {
		return []byte(args[1]), nil
	}
	return io.ReadAll(cmd.InOrStdin())
}

// headerOptions makes the options of headers that were given as name:value.
func headerOptions(headers []string, option func(name, value string) func(*frame.Frame) error) (all []func(*frame.Frame) error, err error) {
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("--header %q is not name:value", h)
		}
		all = append(all, option(name, value))
	}
	return all, nil
}
