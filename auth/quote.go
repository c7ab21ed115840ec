package auth

import (
	"strconv"
	"strings"
)

// maxQuoted is how many bytes of what a peer sent an error shows.
const maxQuoted = 64

// quote shows what a peer sent, on one line and not in full where it is long.
func quote(text string) string {
	if len(text) <= maxQuoted {
		return strconv.Quote(text)
	}
	return strconv.Quote(strings.ToValidUTF8(text[:maxQuoted], "")) + "..."
}

// maxReason is how many bytes of another package's error an error shows: it may
// repeat what it could not read.
const maxReason = 300

func truncate(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + "..."
}
