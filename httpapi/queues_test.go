package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestNamesOfQueuesThatAreTooLongAreRefused(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	c.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", "x")
	c.Receipt("r")
	p := newPoster(t, n, "operator", auth.Grants{})
	for _, long := range []string{strings.Repeat("x", 5000), strings.Repeat("%", 700), strings.Repeat(".", 600)} {
		long = "/queue/" + long
		for _, query := range []url.Values{{"destination": {"/queue/a"}, "to": {long}}, {"destination": {long}, "to": {"/queue/a"}}, {"destination": {long}}} {
			a := p.post("/api/queues/move?"+query.Encode(), "")
			require.Equal(t, http.StatusBadRequest, a.Status, "%s", a.Detail)
			require.Contains(t, a.Detail, "the limit is 512")
		}
		a := p.post("/api/queues/purge?"+url.Values{"destination": {long}}.Encode(), "")
		require.Equal(t, http.StatusBadRequest, a.Status)
	}
	a := p.post("/api/queues/move?destination=/queue/a&to=/queue/b", "")
	require.Equal(t, http.StatusOK, a.Status)
	require.True(t, n.Relay.Ready())
	require.NotContains(t, n.Log.String(), "lost NATS")
}
