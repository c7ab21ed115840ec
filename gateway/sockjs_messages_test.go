package gateway

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzSockJSMessages: the messages of a request are those that encoding/json reads, or
// none.
func FuzzSockJSMessages(f *testing.F) {
	for _, payload := range []string{"", " ", "null", "{}", `"x"`, "[]", " [ ] ", `["a"]`, `[ "a" , "b" ]`, `["a","b`, `["a",]`, `["\\","\"","\\\""]`, `["a",1]`, `["a",["b"]]`, `["a"]x`, `["\u00e4\ud83d\ude00\ud83d"]`, `["",""]`, "[\"\xff\"]", "\f[]"} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var want []any
		err := json.Unmarshal(payload, &want)
		messages, got := parseMessages(payload)
		if err != nil || want == nil {
			require.Error(t, got)
			return
		}
		for _, m := range want {
			if _, ok := m.(string); !ok {
				require.Equal(t, errNoPayload, got)
				return
			}
		}
		require.NoError(t, got)
		for m := range messages.all(nil) {
			for len(want) > 0 && want[0] == "" {
				want = want[1:]
			}
			require.NotEmpty(t, want)
			require.Equal(t, want[0], string(m))
			want = want[1:]
		}
		require.Empty(t, strings.Join(stringsOf(want), ""))
	})
}

func stringsOf(all []any) []string {
	texts := make([]string, len(all))
	for i, text := range all {
		texts[i] = text.(string)
	}
	return texts
}

// TestManyMessagesTakeNoMemory: of arrays and forms with millions of entries nothing is
// kept but the body.
func TestManyMessagesTakeNoMemory(t *testing.T) {
	array := []byte("[" + strings.Repeat(`"",`, 1<<20) + `"a","b"]`)
	allocations := testing.AllocsPerRun(1, func() {
		messages, err := parseMessages(array)
		if err != nil {
			panic(err)
		}
		n := 0
		for range messages.all(nil) {
			n++
		}
		if n != 2 {
			panic(n)
		}
	})
	require.Less(t, allocations, 50.0)
	form := []byte(strings.Repeat("a&", 1<<20) + "d=" + url.QueryEscape(`["ä&+"]`))
	require.Less(t, testing.AllocsPerRun(1, func() {
		if string(formField(form, "d")) != `["ä&+"]` {
			panic("d")
		}
	}), 50.0)
	require.Nil(t, formField([]byte("p=p&dd=x&d=%zz"), "d"))
}
