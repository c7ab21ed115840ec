package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// lowLimits are limits that few frames reach.
var lowLimits = broker.Limits{
	Frame:          frames.Limits{MaxHeaders: 20, MaxHeaderLine: 2000, MaxBody: 300},
	MaxDestination: 100, MaxSubscriptions: 1, MaxPatternWords: 4, MaxWildcards: 2, MaxDedupID: 10,
	MaxTransactions: 1, MaxTransactionFrames: 3, MaxTransactionBytes: 500,
}

// TestEachLimitOfAConnectionCountsUnderItsKey: the metric has the names of the keys below limits.
func TestEachLimitOfAConnectionCountsUnderItsKey(t *testing.T) {
	t.Parallel()
	send := func(c *test.Client, more ...string) {
		c.Send(frames.SEND, append([]string{"destination", "/topic/a"}, more...)...)
	}
	for key, reach := range map[string]func(c *test.Client){
		"headers": func(c *test.Client) {
			var many []string
			for i := range 30 {
				many = append(many, "h"+strings.Repeat("x", i), "v")
			}
			send(c, append(many, "")...)
		},
		"header_line":       func(c *test.Client) { send(c, "h", strings.Repeat("x", 3000), "") },
		"body":              func(c *test.Client) { send(c, strings.Repeat("x", 400)) },
		"destination":       func(c *test.Client) { c.Send(frames.SEND, "destination", "/topic/"+strings.Repeat("x", 200), "") },
		"pattern_words":     func(c *test.Client) { c.Send(frames.SUBSCRIBE, "id", "p", "destination", "/topic/a.b.c.d.e.*") },
		"pattern_wildcards": func(c *test.Client) { c.Send(frames.SUBSCRIBE, "id", "p", "destination", "/topic/*.*.*") },
		"dedup_id": func(c *test.Client) {
			c.Send(frames.SEND, "destination", "/queue/a", "dedup-id", strings.Repeat("x", 20), "")
		},
		"subscriptions": func(c *test.Client) {
			c.Send(frames.SUBSCRIBE, "id", "a", "destination", "/topic/a")
			c.Send(frames.SUBSCRIBE, "id", "b", "destination", "/topic/b")
		},
		"transactions": func(c *test.Client) {
			c.Send(frames.BEGIN, "transaction", "a")
			c.Send(frames.BEGIN, "transaction", "b")
		},
		"transaction_frames": func(c *test.Client) {
			c.Send(frames.BEGIN, "transaction", "a")
			for range 4 {
				send(c, "transaction", "a", "")
			}
		},
		"transaction_bytes": func(c *test.Client) {
			c.Send(frames.BEGIN, "transaction", "a")
			for range 2 {
				send(c, "transaction", "a", strings.Repeat("x", 290))
			}
		},
		"message_rate": func(c *test.Client) {
			for range 10 {
				send(c, "")
			}
		},
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			limits := lowLimits
			if key == "message_rate" {
				limits.MessageRate = 1
			}
			n := test.Start(t, test.Options{Broker: broker.Options{Limits: limits}})
			c := test.Dial(t, n).Connect()
			reach(c)
			c.Expect(frames.ERROR)
			require.Equal(t, map[string]int64{key: 1}, n.Broker.Stats().Limited)
		})
	}
}

// TestEachLimitOfARequestCountsUnderItsKey, too.
func TestEachLimitOfARequestCountsUnderItsKey(t *testing.T) {
	t.Parallel()
	message := func(more string) string { return `{"destination":"/queue/a",` + more + `}` }
	text := func(n int) string { return `"body":"` + strings.Repeat("x", n) + `"` }
	batch := func(n int, m string) string { return `{"messages":[` + strings.Repeat(m+",", n-1) + m + `]}` }
	for key, body := range map[string]string{
		"headers":            message(`"headers":{"a` + strings.Join(strings.Split("bcdefghijklmnopqrstuvwxyz", ""), `":"v","x`) + `":"v"}`),
		"header_line":        message(`"headers":{"h":"` + strings.Repeat("x", 3000) + `"}`),
		"body":               message(text(400)),
		"destination":        `{"destination":"/topic/` + strings.Repeat("x", 200) + `"}`,
		"dedup_id":           message(`"headers":{"dedup-id":"` + strings.Repeat("x", 20) + `"}`),
		"transaction_frames": batch(4, message(text(1))),
		"transaction_bytes":  batch(2, message(text(290))),
		"message_rate":       batch(3, message(text(1))),
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			limits := lowLimits
			if key == "header_line" {
				limits.MaxTransactionBytes = 5000 // the body of a request may have twice as much
			}
			if key == "message_rate" {
				limits.MessageRate = 1
			}
			n := test.Start(t, test.Options{Broker: broker.Options{Limits: limits}})
			o := newOperator(t, n, auth.AllGrants())
			status := 0
			for range 2 { // the rate has room for one
				r, err := http.NewRequest(http.MethodPost, o.server.URL+"/api/send", strings.NewReader(body))
				require.NoError(t, err)
				r.Header.Set("Authorization", "Bearer "+o.token)
				r.Header.Set("Content-Type", "application/json")
				answer, err := http.DefaultClient.Do(r)
				require.NoError(t, err)
				require.NoError(t, answer.Body.Close())
				if status = answer.StatusCode; status != http.StatusOK {
					break
				}
			}
			require.Equal(t, map[string]int64{key: 1}, n.Broker.Stats().Limited, status)
		})
	}
	t.Run("a request that is too large", func(t *testing.T) {
		t.Parallel()
		n := test.Start(t, test.Options{Broker: broker.Options{Limits: lowLimits}})
		o := newOperator(t, n, auth.AllGrants())
		r, err := http.NewRequest(http.MethodPost, o.server.URL+"/api/send", strings.NewReader(message(text(2000))))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+o.token)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)
		require.Equal(t, map[string]int64{"transaction_bytes": 1}, n.Broker.Stats().Limited)
	})
}

// limitedLogins take no passcode, as too many wrong ones were shown for each login.
type limitedLogins struct{ test.BusyLogins }

func (l limitedLogins) Authenticate(ctx context.Context, c auth.Credentials) (*auth.Principal, error) {
	p, err := l.BusyLogins.Authenticate(ctx, c)
	var busy *auth.BusyError
	if errors.As(err, &busy) {
		busy.Limit = "user_failed_logins"
	}
	return p, err
}

// TestWrongPasscodesCountUnderTheKeyOfTheirLimit, over STOMP and HTTP.
func TestWrongPasscodesCountUnderTheKeyOfTheirLimit(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Authenticator: limitedLogins{test.NewBusyLogins(t)}}})
	c := test.Dial(t, n)
	c.Send(frames.CONNECT, "accept-version", "1.2", "host", "x", "login", "guest", "passcode", "guest")
	c.Error("try again in")
	require.Equal(t, map[string]int64{"user_failed_logins": 1}, n.Broker.Stats().Limited)
	r, err := http.NewRequest(http.MethodGet, apiServer(t, n).URL+"/api/users", nil)
	require.NoError(t, err)
	r.SetBasicAuth("guest", "guest")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, map[string]int64{"user_failed_logins": 2}, n.Broker.Stats().Limited)
}
