package printable

import (
	"unicode"

	"golang.org/x/text/width"
)

// Width returns how many columns of a terminal a printable text takes: two for a wide character,
// such as one of Chinese, and none for a mark that joins the character before it.
func Width(text string) (columns int) {
	for _, r := range text {
		columns += widthOf(r)
	}
	return columns
}

// Cut returns the longest beginning of a printable text that fits in so many columns.
func Cut(text string, columns int) string {
	for i, r := range text {
		if columns -= widthOf(r); columns < 0 {
			return text[:i]
		}
	}
	return text
}

func widthOf(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
