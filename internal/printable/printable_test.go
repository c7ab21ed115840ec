package printable

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTextFromOutsideForgesNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ field, line string }{
		"":                           {"", ""},
		"alice":                      {"alice", "alice"},
		"Zoë Müller 日本":              {"Zoë Müller 日本", "Zoë Müller 日本"},
		`DOMAIN\alice`:               {`DOMAIN\alice`, `DOMAIN\alice`},
		"a\nroot  99\t1":             {`a\nroot \x2099\t1`, `a\nroot  99\t1`},
		" a ":                        {`\x20a\x20`, " a "},
		"\x1b[2J\x1b]0;x\a\x9b":      {`\x1b[2J\x1b]0;x\x07\x9b`, `\x1b[2J\x1b]0;x\x07\x9b`},
		"\r\x7f\u0085\u009b31m":      {`\r\x7f\u0085\u009b31m`, `\r\x7f\u0085\u009b31m`},
		"a\u202eb\u2028\u200b":       {`a\u202eb\u2028\u200b`, `a\u202eb\u2028\u200b`},
		"a\u2800\u2800\u31649\u00a0": {`a\u2800\u2800\u31649\u00a0`, `a\u2800\u2800\u31649\u00a0`},
		"\ufffd\xff\U000e0001":       {"\ufffd" + `\xff\U000e0001`, "\ufffd" + `\xff\U000e0001`},
		"{\"a\": \"x\\ny\"}\n{}":     {`{"a": "x\ny"}\n{}`, `{"a": "x\ny"}\n{}`},
	} {
		require.Equal(t, want.field, Field(text), "%q", text)
		require.Equal(t, want.line, Line(text), "%q", text)
	}
	require.Equal(t, "a\\x1b\nb", Lines("a\x1b\nb"))
	require.Equal(t, "\x1ba\\r\\nb\t", OneLine("\x1ba\r\nb\t"))
}

func TestWidthIsInColumnsOfATerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "Zoë": 3, "日本": 4, "ﾆﾎﾝ": 3, "e\u0301": 1, "😀": 2, "ＡB": 3, "…": 1} {
		require.Equal(t, want, Width(text), "%q", text)
	}
	require.Equal(t, "日", Cut("日本", 3))
	require.Equal(t, "日本", Cut("日本", 4))
	require.Equal(t, "e\u0301", Cut("e\u0301a", 1))
	require.Empty(t, Cut("日本", 1))
}
