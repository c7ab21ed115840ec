package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// TestManualPagesAreOfAllCommands also holds that each command has what a page needs.
func TestManualPagesAreOfAllCommands(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "share", "man1")
	root := newRoot()
	root.SetArgs([]string{"man", dir})
	require.NoError(t, root.Execute())
	var visit func(cmd *cobra.Command, name string)
	visit = func(cmd *cobra.Command, name string) {
		page, err := os.ReadFile(filepath.Join(dir, name+".1"))
		require.NoError(t, err)
		require.Contains(t, string(page), cmd.Short)
		require.NotEmpty(t, cmd.Short, name)
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() && !child.IsAdditionalHelpTopicCommand() {
				visit(child, name+"-"+child.Name())
			}
		}
	}
	visit(root, "stompbox")

	page, err := os.ReadFile(filepath.Join(dir, "stompbox-serve.1"))
	require.NoError(t, err)
	require.Contains(t, string(page), "stompbox manual")
	require.Contains(t, string(page), "--data-dir")
	for _, said := range []string{"stompbox.yaml", "SIGHUP", "SIGTERM", "The exit code is 0"} {
		require.Contains(t, string(page), said)
	}
}

func TestCompletionForEachShell(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, stderr, err := run(t, nil, "completion", shell)
		require.NoError(t, err, stderr)
		require.Contains(t, out, "stompbox")
	}
	_, stderr, err := run(t, nil, "completion", "tcsh")
	require.Error(t, err)
	require.Contains(t, stderr, `unknown command "tcsh" for "stompbox completion"`)
	// What a shell asks when Tab is pressed.
	out, _, err := run(t, nil, "__complete", "ser")
	require.NoError(t, err)
	require.Contains(t, out, "serve\tRun the broker\n")
}
