package gateway_test

import (
	"io"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

func TestEventsOfLoginsThatAreBusyMayTryAgain(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Authenticator: test.NewBusyLogins(t)}})
	server := eventsOf(t, n, gateway.EventsOptions{})
	server.Start()
	answer := ask{headers: map[string]string{"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="}}.do(t, server, "/topic/a")
	defer answer.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Equal(t, "7", answer.Header.Get("Retry-After"))
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"code":"login-busy"`)
	ask{user: "alice"}.stream(t, server, "/topic/a")
}

// TestStreamsThatLiveForAgesDoNotEnd: an embedding program may take the greatest number
// for none.
func TestStreamsThatLiveForAgesDoNotEnd(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	const most = time.Duration(math.MaxInt64)
	server := eventsOf(t, n, gateway.EventsOptions{MaxLifetime: most, HeartBeat: most, Retry: most})
	server.Start()
	s := ask{user: "alice"}.stream(t, server, "/topic/a")
	token := test.Token(t, "alice", time.Second, auth.Grants{})
	short := ask{query: "destination=/topic/a&access_token=" + token}.stream(t, server)
	require.Contains(t, short.next().data, "token-expired") // so the other was looked at too
	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/topic/a", "still here")
	s.data("still here")
}
