package gateway_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

func TestEventsOfLoginsThatAreBusyMayTryAgain(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Authenticator: test.NewBusyLogins(t)}})
	server := eventsOf(t, n, gateway.EventsOptions{})
	server.Start()
	answer := ask{headers: map[string]string{"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="}}.do(t, server, "/topic/a")
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Equal(t, "7", answer.Header.Get("Retry-After"))
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"code":"login-busy"`)
	ask{user: "alice"}.stream(t, server, "/topic/a")
}
