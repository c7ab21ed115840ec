package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/auth"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check a configuration, or hash a passcode for one"}
	cmd.AddCommand(newConfigCheck(), newConfigHash())
	return cmd
}

func newConfigCheck() *cobra.Command {
	cmd := &cobra.Command{Use: "check", Short: "Say whether serve would accept the configuration, without serving", Args: cobra.NoArgs}
	flags := newConfigFlags(cmd.Flags()).addServer()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := flags.load()
		if err != nil {
			return err
		}
		if _, err := newAuthenticator(cmd.Context(), c, newLogger(c, cmd.ErrOrStderr())); err != nil {
			return err
		}
		if err := checkWebhooks(c); err != nil {
			return err
		}
		if _, err := c.ReadPeerSecrets(); err != nil {
			return err
		}
		if _, err := c.Metrics.LoadToken(c.Dev); err != nil {
			return err
		}
		if _, err := c.Admin.LoadToken(c.Dev); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "the configuration is fine")
		return nil
	}
	return cmd
}

func newConfigHash() *cobra.Command {
	return &cobra.Command{
		Use: "hash", Short: "Print the hash of a passcode that is read from standard input", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			passcode, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
			if err != nil && passcode == "" {
				return err
			}
			hash, err := auth.HashPasscode(strings.TrimRight(passcode, "\r\n"))
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), hash)
			return nil
		},
	}
}
