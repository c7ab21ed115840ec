package httpapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/test"
)

func TestLoginsThatAreBusyMayTryAgain(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Authenticator: test.NewBusyLogins(t)}})
	r, err := http.NewRequest(http.MethodGet, apiServer(t, n).URL+"/api/users", nil)
	require.NoError(t, err)
	r.SetBasicAuth("guest", "guest")
	got, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer got.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.Equal(t, "7", got.Header.Get("Retry-After"))
	var a answer
	require.NoError(t, json.NewDecoder(got.Body).Decode(&a))
	require.Equal(t, "login-busy", a.Code)
	require.Contains(t, a.Detail, "try again in 6.5s")
}
