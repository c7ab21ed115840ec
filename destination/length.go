package destination

import "fmt"

// MaxEncoded is how long a name may be, as [EncodedLen] counts, for a backend to carry
// it: it becomes part of what NATS takes as one line of 4096 bytes, together with the names of
// streams and inboxes.
const MaxEncoded = 3072

// EncodedLen returns how long a destination, pattern or routing key may become as a
// subject of a backend: an empty word is written as four bytes, and what a subject may
// not have as three.
func EncodedLen(name string) int {
	n := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.' || c == '/':
			n += 4
		case c <= ' ' || c == 0x7f || c == '*' || c == '>' || c == '%':
			n += 3
		default:
			n++
		}
	}
	return n
}

// CheckEncoded returns an error that says how long a name is where that is more than
// limit when it is encoded. It does not name it.
func CheckEncoded(name string, limit int) error {
	if len(name) <= limit/4 {
		return nil
	}
	if n := EncodedLen(name); n > limit {
		return fmt.Errorf("it takes %d bytes when it is encoded; the limit is %d", n, limit)
	}
	return nil
}
