package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/doctor"
)

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what serve needs: limits, clock, ports, disk, certificates, keys, NATS",
		Long: `Check what serve needs, with the configuration that serve would read: the limit of open
files, the clock, each port, data_dir and its disk, secrets and certificates, the key
set, NATS and the other nodes, and whether a broker that runs is ready. Each line is ok, warn or fail; warn and fail say what
to do. The exit code is 1 if anything fails.

Run it as the user that runs serve, before the first start or while the broker runs.`,
		Example: "  stompbox doctor -c stompbox.yaml\n  sudo -u stompbox stompbox doctor -c /etc/stompbox/stompbox.yaml",
		Args:    cobra.NoArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print one JSON array of results")
	timeout := cmd.Flags().Duration("timeout", 10*time.Second, "how long another machine may take to answer")
	flags := newConfigFlags(cmd.Flags()).addServer()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := flags.load()
		if err == nil {
			err = checkConfig(cmd.Context(), c)
		}
		options := doctor.Options{Config: c, ConfigError: err, Timeout: *timeout}
		options.Running, options.NotReady = brokerRuns(cmd.Context(), c)
		results := doctor.Run(cmd.Context(), options)
		if *asJSON {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(results)
		} else {
			err = doctor.Print(cmd.OutOrStdout(), results)
		}
		if failures := doctor.Count(results, doctor.Failure); err == nil && failures > 0 {
			return fmt.Errorf("%d of %d checks failed", failures, len(results))
		}
		return err
	}
	return cmd
}

// checkConfig says what of a configuration serve would refuse after it was read. The key
// set is a check of its own.
func checkConfig(ctx context.Context, c *config.Config) error {
	withoutKeySet := *c
	withoutKeySet.Auth.JWT.JWKSURL = ""
	if _, err := newAuthenticator(ctx, &withoutKeySet, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if _, err := c.ReadPeerSecrets(); err != nil {
		return err
	}
	return checkWebhooks(c)
}

// brokerRuns reports whether a broker answers where this configuration listens, and why it is not
// ready.
func brokerRuns(ctx context.Context, c *config.Config) (runs bool, notReady string) {
	if c == nil {
		return false, ""
	}
	target, listener, err := localTarget(c)
	if err != nil {
		return false, ""
	}
	probe := &healthProbe{timeout: 2 * time.Second, http: listener}
	answer, err := probe.ask(ctx, target)
	if err != nil || answer != "ok" {
		return false, ""
	}
	probe.ready = true
	var unready *unhealthyError
	switch _, err := probe.ask(ctx, target); {
	case errors.As(err, &unready):
		return true, unready.text
	case err != nil:
		return true, err.Error()
	}
	return true, ""
}
