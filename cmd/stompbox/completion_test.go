package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// fixedValues matches the help of a flag that has few values, such as "debug, info, warn or error".
var fixedValues = regexp.MustCompile(`^((?:[a-z]+, )+[a-z]+ or [a-z]+)(?:$|: )`)

// TestFlagsWithFewValuesAreCompleted: the shell offers those that the help names.
func TestFlagsWithFewValuesAreCompleted(t *testing.T) {
	t.Parallel()
	found := make(map[string]int)
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			named := fixedValues.FindStringSubmatch(f.Usage)
			if named == nil {
				return
			}
			found[f.Name]++
			want := strings.Split(strings.Replace(named[1], " or ", ", ", 1), ", ")
			args := append([]string{"__complete"}, strings.Fields(cmd.CommandPath())[1:]...)
			out, _, err := run(t, nil, append(args, "--"+f.Name, "")...)
			require.NoError(t, err)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			require.ElementsMatch(t, want, lines[:len(lines)-1], "%s --%s", cmd.CommandPath(), f.Name)
			require.Equal(t, ":4", lines[len(lines)-1], "no names of files")
		})
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
	require.GreaterOrEqual(t, found["log-level"], 4)
	require.GreaterOrEqual(t, found["order"], 3)
}
