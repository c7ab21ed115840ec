// Package printable makes text from outside, such as names of users and bodies of messages, fit to
// be printed: it controls no terminal, and it forges no row, column or line.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Field returns a text for one column of a line. What is not printed as it is becomes an escape as
// Go has it, such as \n, \t or \x1b. So do spaces that could be taken for the gap between columns:
// the first and the last one, and all but the first in a row.
func Field(text string) string {
	if clean(text) {
		return text
	}
	var b strings.Builder
	space := true // before
	for i, r := range text {
		last := i+1 == len(text)
		if r == ' ' && (space || last) {
			b.WriteString(`\x20`)
		} else {
			write(&b, r, text[i:])
		}
		space = r == ' '
	}
	return b.String()
}

// Line returns a text that ends a line, such as the body of a message: as [Field], with all its
// spaces.
func Line(text string) string {
	var b strings.Builder
	for i, r := range text {
		write(&b, r, text[i:])
	}
	return b.String()
}

// Lines is [Line] for a text of several lines, which stay. It is for text of this program that has
// parts from outside.
func Lines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Line(line)
	}
	return strings.Join(lines, "\n")
}

// OneLine returns a text as it is, except that it stays one line. It is for what is not printed on a
// terminal.
func OneLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text)
}

// isPrint reports whether a character is printed as it is: people see it, and it is no gap.
func isPrint(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0': // letters and a symbol without ink
		return false
	}
	return unicode.IsPrint(r)
}

// clean reports whether Field leaves a text as it is.
func clean(text string) bool {
	return utf8.ValidString(text) && !strings.Contains(text, "  ") && strings.TrimSpace(text) == text && strings.IndexFunc(text, func(r rune) bool { return !isPrint(r) }) < 0
}

// write adds a character, or its escape. Rest begins with it.
func write(b *strings.Builder, r rune, rest string) {
	switch {
	case r == utf8.RuneError && !strings.HasPrefix(rest, string(utf8.RuneError)):
		fmt.Fprintf(b, `\x%02x`, rest[0]) // no UTF-8
	case isPrint(r):
		b.WriteRune(r)
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\r':
		b.WriteString(`\r`)
	case r == '\t':
		b.WriteString(`\t`)
	case r < utf8.RuneSelf:
		fmt.Fprintf(b, `\x%02x`, r)
	case r > 0xffff:
		fmt.Fprintf(b, `\U%08x`, r)
	default:
		fmt.Fprintf(b, `\u%04x`, r)
	}
}
