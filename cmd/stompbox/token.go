package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/auth"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token --user NAME",
		Short:   "Print a token, signed with the configured key or the development mode's",
		Example: "  stompbox token --user alice --ttl 1h --send '/app/**' --subscribe '/topic/chat.*'",
		Args:    cobra.NoArgs,
	}
	var claims auth.Claims
	var user string
	f := cmd.Flags()
	f.StringVar(&user, "user", "", "who the token is for")
	f.DurationVar(&claims.TTL, "ttl", time.Hour, "how long it is valid")
	f.StringArrayVar(&claims.Grants.Send, "send", nil, "pattern of destinations to send to; may be repeated")
	f.StringArrayVar(&claims.Grants.Subscribe, "subscribe", nil, "pattern of destinations to subscribe to; may be repeated")
	f.StringArrayVar(&claims.Grants.Serve, "serve", nil, "pattern of /app destinations to serve; may be repeated")
	flags := newConfigFlags(f)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := flags.loadForClient()
		if err != nil {
			return err
		}
		if user == "" {
			return errors.New("missing --user: the name of the user that the token is for")
		}
		if _, err := auth.NewPermissions(claims.Grants, user); err != nil {
			return err
		}
		token, dev, err := sign(c, user, claims)
		if err != nil {
			return err
		}
		if dev {
			fmt.Fprintln(cmd.ErrOrStderr(), "stompbox: signed with the development key, which only serve --dev accepts")
		}
		fmt.Fprintln(cmd.OutOrStdout(), token)
		return nil
	}
	return cmd
}
