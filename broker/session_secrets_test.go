package broker_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestLogsShowNoCredentialsAndNoLongText: the log of a node at level debug has nothing of
// what clients showed as credentials, wherever they put them, and no long text of theirs.
func TestLogsShowNoCredentialsAndNoLongText(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	good := test.Token(t, "alice", time.Hour, auth.Grants{})
	forged := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "hunter2", "exp": time.Now().Add(time.Hour).Unix()})
	forged.Header["kid"] = strings.Repeat("k", 8000)
	longKid, err := forged.SignedString([]byte("another secret, which is not the node's"))
	require.NoError(t, err)
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"exp":` + strings.Repeat("9", 5000) + `}`))
	parts := strings.Split(good, ".")
	signature := strings.Split(longKid, ".")[2]
	long := strings.Repeat("x", 15000)
	for name, wire := range map[string]string{
		"token as login":             "login:" + good,
		"token as unknown login":     "login:" + good + "\npasscode:hunter2",
		"wrong passcode":             "login:guest\npasscode:hunter2",
		"passcode without a colon":   "login:guest\npasscode hunter2",
		"passcode with wrong escape": "login:guest\npasscode:hunter2\\t",
		"token without its scheme":   "Authorization:" + good,
		"basic":                      "Authorization:Basic hunter2",
		"long kid":                   "Authorization:Bearer " + longKid,
		"forged":                     "Authorization:Bearer " + parts[0] + "." + parts[1] + "." + signature,
		"claims that are not JSON":   "Authorization:Bearer " + parts[0] + "." + claims + "." + parts[2],
		"token as passcode":          "login:hunter2\npasscode:" + parts[0] + "." + parts[1] + "." + signature,
		"long version":               "accept-version:" + long,
		"long heart-beat":            "heart-beat:" + long,
		"fresh token of another":     "login:guest\npasscode:guest\n\n\x00SEND\ndestination:/session/token\n\n" + good + "\x00",
		"fresh token that is wrong":  "login:guest\npasscode:guest\n\n\x00SEND\ndestination:/session/token\n\n" + longKid + "\x00",
		"long transaction":           "login:guest\npasscode:guest\n\n\x00COMMIT\ntransaction:" + long + "\n\n\x00",
		"long subscription":          "login:guest\npasscode:guest\n\n\x00UNSUBSCRIBE\nid:" + long + "\n\n\x00",
		"long expires":               "login:guest\npasscode:guest\n\n\x00SEND\ndestination:/queue/a\nexpires:" + long + "\n\n\x00",
		"long destination":           "login:guest\npasscode:guest\n\n\x00SEND\ndestination:" + long + "\n\n\x00",
		"long ack mode":              "login:guest\npasscode:guest\n\n\x00SUBSCRIBE\nid:1\ndestination:/topic/a\nack:" + long + "\n\n\x00",
	} {
		c := test.DialTCP(t, n)
		c.Raw("CONNECT\naccept-version:1.2\n" + wire + "\n\n\x00")
		for {
			f, err := c.Next()
			if err != nil {
				break
			}
			for _, h := range f.Headers {
				require.Less(t, len(h.Value), 1000, "%s: %s of %s", name, h.Name, f.Command)
			}
			if f.Command == frames.CONNECTED {
				continue
			}
			require.NotContains(t, string(f.Body), "hunter2", name)
		}
	}
	log := n.Log.String()
	require.NotContains(t, log, "hunter2")
	for _, part := range parts {
		require.NotContains(t, log, part)
	}
	require.NotContains(t, log, signature)
	for line := range strings.Lines(log) {
		require.Less(t, len(line), 2000, "%s...", line[:min(len(line), 200)])
	}
}
