package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write a manual page of each command",
		Long:    "Write a manual page of each command to a directory, which is created if it does not exist.",
		Example: "  stompbox man /usr/local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // manual pages are for all users
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // two builds of one commit write the same pages
			header := &doc.GenManHeader{Section: "1", Source: "stompbox " + version(), Manual: "stompbox manual", Date: manDate()}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fmt.Errorf("cannot write manual pages: %w", err)
			}
			return nil
		},
	}
}

// manDate is the date of the commit, or nil for today.
func manDate() *time.Time {
	date, err := time.Parse(time.RFC3339, currentBuild().Date)
	if err != nil {
		return nil
	}
	return &date
}
