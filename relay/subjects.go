package relay

import (
	"fmt"
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// DefaultPrefix begins all subjects.
const DefaultPrefix = "stompbox"

// Subject returns the NATS subject of a destination or routing key such as
// /topic/chat.room1: '.' stays, each later '/' becomes "./", and what NATS does
// not allow in a word is percent-encoded. A user's name is one word of the subject,
// in which dots and slashes are percent-encoded too.
func Subject(prefix, dest string) string {
	b := append(make([]byte, 0, len(prefix)+len(dest)+8), prefix...)
	i, words := 0, destination.WordsOf(dest)
	for words.Rest() != "" {
		b = appendNext(append(b, '.'), &words, i)
		i++
	}
	return string(b)
}

// PatternSubjects returns the subjects to subscribe to for a pattern: two if a trailing "**" can
// also stand for no words. They can match more than the pattern, because NATS does not
// distinguish the separators; the router decides.
func PatternSubjects(prefix, pattern string) []string {
	b := append(make([]byte, 0, len(prefix)+len(pattern)+8), prefix...)
	i, words := 0, destination.WordsOf(pattern)
	for words.Rest() != "" {
		next := words
		switch name := next.Next()[1:]; {
		case name == "**" && i > 1:
			return []string{string(b), string(b) + ".>"}
		case destination.IsTail(name):
			return []string{string(b) + ".>"}
		case name == "*":
			b = append(b, ".*"...)
			words = next
		default:
			b = appendNext(append(b, '.'), &words, i)
		}
		i++
	}
	return []string{string(b)}
}

// appendNext appends the next word of a destination, its i-th, as NATS allows it. The
// first two words always follow a slash.
func appendNext(b []byte, words *destination.Words, i int) []byte {
	isUser := words.AtUser()
	word := words.Next()
	slashed := i > 1 && word[0] == '/'
	if isUser {
		word = "/" + destination.UnescapeSegment(word[1:])
	}
	if word = word[1:]; slashed {
		b = append(b, '/')
	} else if word == "" {
		return append(b, "%00"...) // no name has a NUL, so this is free
	}
	for i := range len(word) {
		c := word[i]
		if c <= ' ' || c == 0x7f || c == '*' || c == '>' || c == '%' || isUser && (c == '.' || c == '/') {
			b = fmt.Appendf(b, "%%%02X", c)
			continue
		}
		b = append(b, c)
	}
	return b
}

// maxPrefix is the longest prefix of subjects in bytes.
const maxPrefix = 128

// checkPrefix returns what is wrong with a prefix of subjects.
func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix || strings.ContainsAny(prefix, " \t\r\n*>") || strings.Contains("."+prefix+".", "..") {
		return fmt.Errorf("relay: the prefix %.40q has to be words of a NATS subject, of %d bytes together", prefix, maxPrefix)
	}
	return nil
}

// checkKey refuses a key, pattern or queue whose subject NATS would not take: it ends
// the connection of a client that sends it a line that is too long. The broker has checked; this is
// for whatever it forgot, and for other users of the package.
func checkKey(key string) error {
	if err := destination.CheckEncoded(key, destination.MaxEncoded); err != nil {
		return fmt.Errorf("relay: %w: %w", driver.ErrKeyTooLong, err)
	}
	return nil
}

// Destination returns the routing key of a subject, the reverse of [Subject].
func Destination(prefix, subject string) (string, bool) {
	rest, ok := strings.CutPrefix(subject, prefix+".")
	if !ok {
		return "", false
	}
	b := make([]byte, 0, len(rest)+1)
	i := 0
	for word := range strings.SplitSeq(rest, ".") {
		switch {
		case i <= 1:
			b = append(b, '/')
		case strings.HasPrefix(word, "/"):
			b, word = append(b, '/'), word[1:]
		default:
			b = append(b, '.')
		}
		switch {
		case word == "%00":
		case i == 1 && string(b) == destination.UserPrefix:
			b = append(b, destination.EscapeSegment(unescape(word))...)
		default:
			b = append(b, unescape(word)...)
		}
		i++
	}
	return string(b), i > 1
}
