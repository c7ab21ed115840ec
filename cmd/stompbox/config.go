package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/tracing"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Make, check and show a configuration"}
	cmd.AddCommand(newConfigCheck(), newConfigHash(), newConfigPrint(), newConfigInit(), newConfigSchema())
	return cmd
}

func newConfigCheck() *cobra.Command {
	cmd := &cobra.Command{Use: "check", Short: "Validate the configuration without serving", Args: cobra.NoArgs}
	cmd.Long = "Check the configuration that serve would use, and the files that it names, without serving.\nAll faults are listed, each with its line, variable or flag. stompbox doctor also checks the\nmachine and the other servers."
	flags := newConfigFlags(cmd.Flags()).addServer()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, _, err := flags.loadToServe()
		if err != nil {
			return err
		}
		certs, err := newCertificates(c)
		if err != nil {
			return err
		}
		warnings, err := tracing.CheckEnvironment()
		if err != nil {
			return err
		}
		for _, text := range slices.Concat(config.WithoutEffect(c), certs.untimely(), warnings) {
			fmt.Fprintln(cmd.ErrOrStderr(), "stompbox: warning:", text)
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
