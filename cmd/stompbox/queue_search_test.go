package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/problem"
)

// TestCommandsLookForAMessageToTheEndOfItsQueue: a broker looks at some thousand for each request.
func TestCommandsLookForAMessageToTheEndOfItsQueue(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after := map[string]string{"": "0.5", "0.5": "0.9", "0.9": ""}
		next := after[r.URL.Query().Get("after")]
		if next == "" && r.URL.Query().Get("id") == "there" {
			_ = json.NewEncoder(w).Encode(map[string]any{"body": "found", "moved": "there", "to": "/queue/up"})
			return
		}
		p := problem.New(http.StatusNotFound, "not here")
		p.Next = next
		problem.Write(w, p)
	}))
	defer server.Close()
	out, stderr, err := run(t, nil, "queue", "get", "/queue/deep", "there", "--url", server.URL)
	require.NoError(t, err, stderr)
	require.Contains(t, out, `"body":"found"`)
	out, stderr, err = run(t, nil, "queue", "requeue", "/queue/deep", "there", "--to", "/queue/up", "--url", server.URL)
	require.NoError(t, err, stderr)
	require.Equal(t, "moved there to /queue/up\n", out)
	_, stderr, err = run(t, nil, "queue", "get", "/queue/deep", "gone", "--url", server.URL)
	require.Error(t, err)
	require.Contains(t, stderr, "not here")
}
