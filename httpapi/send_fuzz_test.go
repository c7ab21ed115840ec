package httpapi

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/problem"
)

// FuzzSend: a body of /api/send is refused with words, or is as many messages as a batch may
// have.
func FuzzSend(f *testing.F) {
	for _, text := range []string{
		`{"destination":"/topic/a","body":"x"}`, `{"messages":[{"destination":"/topic/a"},{"body":{"a":1}}]}`, `{"messages":[]}`, `{"messages":null}`,
		`{"destination":"/topic/a","headers":{"a":"b"},"body_base64":"AAEC"}`, `{"body":"x","body_base64":"AA=="}`, `{}`, `[]`, `null`, ``, `{"messages":{}}`,
		`{"headers":{"a":1}}`, `{"headers":[]}`, `{"other":1}`, `{"destination":"/topic/a"} x`, `{"messages":[{"messages":[]}]}`, `{"body":"\ud800"}`,
	} {
		f.Add([]byte(text))
	}
	const limit = 3
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseSend(bytes.NewReader(text), limit)
		if err != nil {
			var p *problem.Details
			require.True(t, errors.As(err, &p))
			require.GreaterOrEqual(t, p.Status, 400)
			require.Less(t, len(p.Detail), 1000)
			return
		}
		require.NotEmpty(t, all)
		require.LessOrEqual(t, len(all), limit)
	})
}
