package gateway

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzUTF8Parts: a text that comes in two parts is judged as it is whole.
func FuzzUTF8Parts(f *testing.F) {
	for _, text := range []string{"", "abc", "h\u00e4", "\u20ac", "\U0001f600", "\xff", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xc0\xaf", "\xf0\x9f\x98", "\xef\xbf\xbd"} {
		for i := range len(text) + 1 {
			f.Add(text[:i], text[i:])
		}
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		var c utf8Checker
		good := c.write([]byte(a)) && c.write([]byte(b)) && c.whole()
		require.Equal(t, utf8.ValidString(a+b), good, "%q %q", a, b)
		var each utf8Checker
		good = true
		for _, x := range []byte(a + b) {
			good = good && each.write([]byte{x})
		}
		require.Equal(t, utf8.ValidString(a+b), good && each.whole(), "%q byte by byte", a+b)
	})
}
