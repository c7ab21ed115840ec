package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/internal/config"
)

func newConfigPrint() *cobra.Command {
	cmd := &cobra.Command{
		Use: "print", Short: "Show the configuration in effect, and where each value comes from", Args: cobra.NoArgs,
		Long: `Show the configuration in effect, and where each value comes from: a line of the file, a variable, a
flag, or the default. Secrets are masked. Faults are listed at the end, with exit code 1.`,
		Example: "  sudo stompbox config print -c /etc/stompbox/stompbox.yaml\n  stompbox config print --json | jq '.[] | select(.source != \"default\")'",
	}
	asJSON := cmd.Flags().Bool("json", false, "print one JSON array of key, value and source")
	changed := cmd.Flags().Bool("changed", false, "leave out what has its default")
	flags := newConfigFlags(cmd.Flags()).addServer()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, where, faults := config.Read(flags.source())
		if c == nil {
			return where.Join(faults)
		}
		all := c.Settings(where)
		if *changed {
			all = config.Changed(all)
		}
		var err error
		if *asJSON {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(config.Values(all))
		} else {
			err = config.PrintSettings(cmd.OutOrStdout(), all)
		}
		return errors.Join(err, where.Join(faults))
	}
	return cmd
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration, for editors", Args: cobra.NoArgs,
		Long: `Print the JSON Schema of the configuration. Editors that have a YAML language server find
it by the first line of a file:

  # yaml-language-server: $schema=` + config.SchemaURL,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.SchemaFile)
			return err
		},
	}
}

// secretName is the file of the secret next to a first configuration.
const secretName = "jwt.secret"

func newConfigInit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "init [FILE]", Short: "Write a first configuration, with comments, and a secret", Args: cobra.MaximumNArgs(1),
		Long: `Write a first configuration, with comments, to FILE (default stompbox.yaml), and a random
secret for signing tokens to ` + secretName + ` in the same folder. Existing files are not
overwritten. With - the configuration goes to standard output, and no secret is made.`,
		Example: "  stompbox config init\n  stompbox serve",
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file := "stompbox.yaml"
		if len(args) > 0 {
			file = args[0]
		}
		if file == "-" {
			_, err := cmd.OutOrStdout().Write(config.StartingFile)
			return err
		}
		secret := filepath.Join(filepath.Dir(file), secretName)
		text := config.Starting(secret)
		if err := writeNew(file, text, 0o644); errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s is there already, and stays as it is; name another FILE, or remove that one, or use - to look at what would be written", file)
		} else if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "wrote", file)
		random := make([]byte, 32)
		if _, err := rand.Read(random); err != nil {
			return err
		}
		err := writeNew(secret, []byte(base64.StdEncoding.EncodeToString(random)+"\n"), 0o600)
		switch {
		case errors.Is(err, os.ErrExist):
			fmt.Fprintln(cmd.OutOrStdout(), "kept", secret, "as it was")
			return nil
		case err != nil:
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "wrote", secret)
		return nil
	}
	return cmd
}

// writeNew writes a file that is not there yet.
func writeNew(name string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
