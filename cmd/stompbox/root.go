package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stompbox/stompbox/internal/config"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "stompbox",
		Short:         "A STOMP-over-WebSocket message broker in one binary",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServe(), newToken(), newSend(), newRequest(), newSubscribe(), newQueue(), newConfig(), newBench())
	root.AddCommand(newVersion(), newHealth(), newMan(), newDoctor(), newReload(), newBackup(), newRestore())
	root.AddCommand(newOperatorCommands()...)
	root.InitDefaultCompletionCmd()
	refuseUnknown(root)
	completeLevels(root)
	explain(root)
	return root
}

// completeFlag has the shell complete the values of a flag that has few. It fails for a flag that is
// not there.
func completeFlag(cmd *cobra.Command, name string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// completeLevels completes --log-level of all commands that have it.
func completeLevels(cmd *cobra.Command) {
	if cmd.Flags().Lookup("log-level") != nil {
		completeFlag(cmd, "log-level", config.Choices("log.level")...)
	}
	for _, sub := range cmd.Commands() {
		completeLevels(sub)
	}
}

// explain has a command and those below it say how they are used, where they are used in
// another way, and show flags that are switches without their two values.
func explain(c *cobra.Command) {
	if accepts := c.Args; accepts != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			err := accepts(c, args)
			if err != nil {
				err = fmt.Errorf("%w; usage: %s; see %s --help", err, c.UseLine(), c.CommandPath())
			}
			return err
		}
	}
	if !c.HasParent() {
		c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return fmt.Errorf("%w; see %s --help", err, c.CommandPath()) })
		usage := c.UsageFunc()
		c.SetUsageFunc(func(c *cobra.Command) error {
			to, text := c.OutOrStderr(), new(strings.Builder)
			c.SetOut(text)
			err := usage(c)
			c.SetOut(to)
			const values = "[=true|false]"
			_, written := io.WriteString(to, strings.ReplaceAll(text.String(), values, strings.Repeat(" ", len(values))))
			return errors.Join(err, written)
		})
	}
	for _, sub := range c.Commands() {
		explain(sub)
	}
}

// refuseUnknown has each command that only has others refuse what is none of them: cobra would
// print its help, and succeed.
func refuseUnknown(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		refuseUnknown(c)
		if !c.HasSubCommands() || c.Runnable() {
			continue
		}
		c.Args = cobra.ArbitraryArgs
		c.DisableFlagsInUseLine = true
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q; see %[2]s --help", args[0], cmd.CommandPath())
			}
			return cmd.Help()
		}
	}
}

// configFlags says where the configuration is.
type configFlags struct {
	flags *pflag.FlagSet
	file  *string
	byKey map[string]string // names of flags by the key that they set
}

// newConfigFlags adds the flags that all commands with a configuration have.
func newConfigFlags(flags *pflag.FlagSet) *configFlags {
	c := &configFlags{flags: flags, byKey: map[string]string{"dev": "dev"}}
	c.file = flags.StringP("config", "c", "", "configuration file (default stompbox.yaml where there is one)")
	flags.Bool("dev", false, "development mode: guest/guest and tokens for everybody, loopback only")
	c.add("data_dir", "data-dir", "folder for queues, history and the embedded NATS server")
	return c
}

// addServer adds the flags of a server.
func (c *configFlags) addServer() *configFlags {
	c.add("http.listen", "http", "address of WebSockets and HTTP, such as 127.0.0.1:8080")
	c.add("stomp.listen", "stomp", "address of plain STOMP over TCP, such as 127.0.0.1:61613")
	c.add("nats.url", "nats", "URL of an external NATS server, in place of the embedded one")
	c.add("nats.listen", "nats-listen", "address on which the embedded NATS server accepts other programs")
	c.add("metrics.listen", "metrics", "address of Prometheus metrics, separate from clients")
	c.add("admin.listen", "admin", "address of the HTTP API for operators, with metrics and health")
	c.add("log.level", "log-level", "debug, info, warn or error")
	return c
}

func (c *configFlags) add(key, name, help string) {
	c.flags.String(name, "", help)
	c.byKey[key] = name
}

// load reads the configuration of a server.
func (c *configFlags) load() (*config.Config, error) { return config.Load(c.source()) }

// loadForClient is load for commands that make tokens and do not serve, so
// that a missing key is no error.
func (c *configFlags) loadForClient() (*config.Config, error) {
	src := c.source()
	src.Client = true
	return config.Load(src)
}

// hasFile reports whether there is a configuration file to read.
func (c *configFlags) hasFile() bool {
	_, err := os.Stat(cmp.Or(*c.file, "stompbox.yaml"))
	return err == nil
}

func (c *configFlags) source() config.Source {
	src := config.Source{File: *c.file, Flags: map[string]*pflag.Flag{}}
	for key, name := range c.byKey {
		src.Flags[key] = c.flags.Lookup(name)
	}
	return src
}
