package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/problem"
)

// TestWhatIsNotServedIsAProblem: paths that are not there, and methods that a path does not have.
func TestWhatIsNotServedIsAProblem(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"STOMPBOX_AUTH_JWT_SECRET=dGhpcyBpcyBhIHNlY3JldCBvZiBteSBvd24sIGxvbmcgZW5vdWdo"})
	for _, c := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"POST", "/ws", 405, "method-not-allowed", "GET, HEAD"},
		{"PUT", "/events", 405, "method-not-allowed", "GET, HEAD, OPTIONS"},
		{"PATCH", "/api/send", 405, "method-not-allowed", "POST"},
		{"GET", "/api/send", 405, "method-not-allowed", "POST"},
		{"PUT", "/api/bans", 405, "method-not-allowed", "DELETE, GET, HEAD, POST"},
		{"PUT", "/api/nothing", 404, "not-found", ""},
		{"DELETE", "/readyz", 405, "method-not-allowed", "GET, HEAD"},
		{"GET", "/nothing", 404, "not-found", ""},
		{"GET", "/", 404, "not-found", ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+p.http+c.path, nil)
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		var d problem.Details
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&d), "%+v", c)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, c.status, answer.StatusCode, "%+v", c)
		require.Equal(t, c.code, string(d.Code), "%+v", c)
		require.Equal(t, problem.ContentType, answer.Header.Get("Content-Type"))
		require.Equal(t, c.allow, answer.Header.Get("Allow"), "%+v", c)
		require.Contains(t, d.Detail, c.path)
	}
	p.stop(t)
}
