package frames_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
)

// TestErrorsDoNotShowCredentials: errors are logged, and a credential may be in any line
// that is not what it should be.
func TestErrorsDoNotShowCredentials(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wire string
		says string
	}{
		"passcode without a colon":   {"CONNECT\nlogin:admin\npasscode hunter2\n\n\x00", "header line 2 has no colon"},
		"value without a name":       {"CONNECT\n:hunter2\n\n\x00", "header line 1 has an empty name"},
		"undefined escape":           {"SEND\na:b\npasscode:hunter2\\t\n\n\x00", "undefined escape in header line 2"},
		"undefined escape in a name": {"SEND\nhunter2\\t:x\n\n\x00", "undefined escape in header line 1"},
		"HTTP with a token":          {"GET /events?access_token=hunter2 HTTP/1.1\r\nHost: x\r\n\r\n", "\"GET\" is not a STOMP command"},
		"HTTP whose path is long":    {"GET /hunter2" + strings.Repeat("x", 1000), "\"GET\" is not a STOMP command"},
		"no command":                 {"hunter2\n", "the first line is not a STOMP command"},
		"a token in place of one":    {"HUNTER2" + strings.Repeat("HUNTER", 10) + "\n", "the first line is not a STOMP command"},
		"headers without a command":  {"passcode:hunter2\n\n\x00", "the first line is not a STOMP command"},
		"frame without its end":      {"CONNECT\npasscode:hunter2\n\nSEND\x00", "must not have a body"},
		"header that is too long":    {"CONNECT\npasscode:" + strings.Repeat("hunter2", 3000), "longer than the limit"},
		"wrong UTF-8":                {"CONNECT\npasscode:hunter2\xff\n\n\x00", "not valid UTF-8"},
		"NUL in a header":            {"CONNECT\npasscode:hunter2\x00\n\n", "NUL byte"},
	} {
		d := frames.NewDecoder(&frames.Limits{})
		d.SetVersion(frames.V12)
		d.Feed([]byte(tt.wire))
		var f frames.Frame
		_, err := d.Next(&f)
		require.ErrorContains(t, err, tt.says, name)
		require.NotContains(t, strings.ToLower(err.Error()), "hunter2", name)
	}
}
