package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/stompbox/stompbox/internal/printable"
)

// lineHelp says how commands print messages.
const lineHelp = "\n\nEach message is one line: where it is from, its user, and its body, in which a newline is printed\nas \\n. In a terminal all else that is not printable is an escape too, such as \\x1b; elsewhere the\nbody is as it was sent. Use --json for programs: it has all headers, and each body as it is."

// printLine prints a message. Nothing in it forges a line, and in a terminal nothing controls that.
func printLine(w io.Writer, from, user, body string) error {
	if body = printable.OneLine(body); onTerminal(w) {
		body = printable.Line(body)
	}
	_, err := fmt.Fprintf(w, "%s  %s  %s\n", printable.Field(from), printable.Field(user), body)
	return err
}

// onTerminal reports whether people read what is written.
func onTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
