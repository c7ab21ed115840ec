package destination

import (
	"strings"
	"unicode/utf8"
)

// EscapeSegment returns a user's name as the one segment that it is in a
// destination: '/' and '%', the wildcards '*' and '>', and control characters are
// percent-encoded.
func EscapeSegment(name string) string {
	if !strings.ContainsFunc(name, isEscaped) {
		return name
	}
	b := make([]byte, 0, len(name)+8)
	for i := range len(name) {
		if c := name[i]; isEscaped(rune(c)) {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// UnescapeSegment returns the user's name that a segment stands for: all of it may be
// percent-encoded (RFC 3986, 2.1). A percent sign that begins no escape stands for
// itself, and so do all of them where what comes out is not UTF-8.
func UnescapeSegment(segment string) string {
	if !strings.Contains(segment, "%") {
		return segment
	}
	b := make([]byte, 0, len(segment))
	for i := 0; i < len(segment); i++ {
		if segment[i] == '%' && i+2 < len(segment) {
			high, low := hexValue(segment[i+1]), hexValue(segment[i+2])
			if high >= 0 && low >= 0 {
				b = append(b, byte(high<<4|low))
				i += 2
				continue
			}
		}
		b = append(b, segment[i])
	}
	if !utf8.Valid(b) {
		return segment
	}
	return string(b)
}

const hexDigits = "0123456789ABCDEF"

func isEscaped(c rune) bool {
	return c == '/' || c == '%' || c == '*' || c == '>' || c < ' ' || c == 0x7f
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// Canonical returns a destination with the user in it spelled in one way, whatever a
// client encoded. Wildcards in place of a user stay. It allocates only where the
// spelling differs.
func Canonical(name string) string {
	prefix := UserPrefix
	if !strings.HasPrefix(name, prefix) {
		if prefix = DisconnectPrefix; !strings.HasPrefix(name, prefix) {
			return name
		}
	}
	user, rest := name[len(prefix):], ""
	if end := strings.IndexByte(user, '/'); end >= 0 {
		user, rest = user[:end], user[end:]
	}
	if IsWildcard(user) {
		return name
	}
	if spelled := EscapeSegment(UnescapeSegment(user)); spelled != user {
		return prefix + spelled + rest
	}
	return name
}

// UserKey returns the routing key of a user's own /user/<rest>: the same with the
// user in it, spelled in one way, whatever a sender escaped.
func UserKey(user, own string) string {
	return UserPrefix + EscapeSegment(user) + strings.TrimPrefix(own, "/user")
}

// SplitUser splits /user/<user>/<rest> into the user segment and /user/<rest>. It
// reports false where one of them is missing.
func SplitUser(name string) (user, own string, ok bool) {
	user, rest, ok := strings.Cut(strings.TrimPrefix(name, UserPrefix), "/")
	if !ok || user == "" || rest == "" {
		return "", "", false
	}
	return user, UserPrefix + rest, true
}
