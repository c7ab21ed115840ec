package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// commandOrder has those that most readers look for first.
var commandOrder = []string{"serve", "config", "doctor", "health", "token", "send", "subscribe", "request", "queue", "version", "man", "bench"}

// TestReferenceOfCommands has docs/cli.md made from the commands.
func TestReferenceOfCommands(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	byName := make(map[string]*cobra.Command)
	for _, c := range newRoot().Commands() {
		if !c.Hidden && c.Name() != "help" && c.Name() != "completion" {
			byName[c.Name()] = c
		}
	}
	order := commandOrder
	for name := range byName {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	slices.Sort(order[len(commandOrder):])
	for _, name := range order {
		c := byName[name]
		require.NotNil(t, c, name)
		writeCommand(&out, c)
		if name == "bench" { // their flags are alike
			out.WriteString("| benchmark | |\n|---|---|\n")
			for _, sub := range c.Commands() {
				if sub.Hidden {
					continue
				}
				fmt.Fprintf(&out, "| `stompbox bench %s` | %s |\n", sub.Name(), tableText(sub.Short))
			}
			continue
		}
		for _, sub := range c.Commands() {
			writeCommand(&out, sub)
		}
	}
	requirePart(t, "cli.md", "the commands", out.String())
}

// TestExamplesOfCommandsAreAccepted reads each example as the program would, up to where it
// would begin: the command is there, and so are its flags and arguments.
func TestExamplesOfCommandsAreAccepted(t *testing.T) {
	t.Parallel()
	words := regexp.MustCompile(`'([^']*)'|"([^"]*)"|[^\s'"]+`)
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		own := c.Example == ""
		for _, line := range strings.Split(c.Example, "\n") {
			_, call, found := strings.Cut(line, "stompbox ")
			if !found {
				require.Empty(t, strings.TrimSpace(line), "an example of %s", c.CommandPath())
				continue
			}
			call, _, _ = strings.Cut(strings.TrimPrefix(call, "stompbox "), " | ")
			call, _, _ = strings.Cut(call, " # ")
			call, _, _ = strings.Cut(call, " < ")
			var args []string
			for _, word := range words.FindAllString(call, -1) {
				args = append(args, strings.Trim(word, `'"`))
			}
			command, rest, err := newRoot().Find(args)
			require.NoError(t, err, line)
			own = own || command.CommandPath() == c.CommandPath()
			require.NoError(t, command.ParseFlags(rest), line)
			require.NoError(t, command.ValidateArgs(command.Flags().Args()), line)
		}
		require.True(t, own, "no example of %s uses it", c.CommandPath())
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(newRoot())
}

// indented is a line of a command's help to copy, which Markdown would take for a heading.
var indented = regexp.MustCompile(`(?m)^  (\S.*)$`)

func writeCommand(out *strings.Builder, c *cobra.Command) {
	text := cmp.Or(c.Long, strings.TrimSuffix(c.Short, ".")+".")
	text = indented.ReplaceAllString(strings.ReplaceAll(text, "<", "&lt;"), "```text\n$1\n```")
	fmt.Fprintf(out, "\n%s %s\n\n%s\n\n", strings.Repeat("#", strings.Count(c.CommandPath(), " ")+1), c.CommandPath(), text)
	if c.Runnable() && !c.HasSubCommands() {
		fmt.Fprintf(out, "```text\n%s\n```\n\n", c.UseLine())
	}
	if len(c.Aliases) > 0 {
		fmt.Fprintf(out, "Also: `%s`.\n\n", strings.Join(c.Aliases, "`, `"))
	}
	var rows strings.Builder
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		shown := ""
		switch f.DefValue {
		case "", "false", "[]", "0":
		default:
			shown = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", name, shown, tableText(f.Usage))
	})
	if c.HasInheritedFlags() {
		fmt.Fprintf(out, "It takes the flags of `%s` too.\n\n", c.Parent().CommandPath())
	}
	if rows.Len() > 0 {
		out.WriteString("| flag | default | |\n|---|---|---|\n" + rows.String() + "\n")
	}
	if c.Example != "" {
		var lines []string
		for _, line := range strings.Split(c.Example, "\n") {
			lines = append(lines, strings.TrimPrefix(line, "  "))
		}
		fmt.Fprintf(out, "<!-- test: TestExamplesOfCommandsAreAccepted -->\n```sh\n%s\n```\n", strings.Trim(strings.Join(lines, "\n"), "\n"))
	}
}
