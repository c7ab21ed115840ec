package gateway

import "unicode/utf8"

// utf8Checker checks that a text which comes in parts is UTF-8 (RFC 6455, 8.1). Its zero
// value is at the beginning of a text.
type utf8Checker struct {
	part [utf8.UTFMax]byte // a character that the last part ended in
	n    int
}

// write takes the next part, and reports whether the text can still be UTF-8.
func (c *utf8Checker) write(p []byte) bool {
	for c.n > 0 && len(p) > 0 {
		c.part[c.n], p = p[0], p[1:]
		c.n++
		if r, size := utf8.DecodeRune(c.part[:c.n]); r != utf8.RuneError || size > 1 {
			c.n = 0
		} else if utf8.FullRune(c.part[:c.n]) {
			return false
		}
	}
	end := len(p)
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if b := p[len(p)-i]; utf8.RuneStart(b) {
			if !utf8.FullRune(p[len(p)-i:]) {
				end = len(p) - i
			}
			break
		}
	}
	c.n += copy(c.part[c.n:], p[end:])
	return utf8.Valid(p[:end])
}

// whole reports whether the text does not end inside a character.
func (c *utf8Checker) whole() bool { return c.n == 0 }
