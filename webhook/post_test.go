package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/problem"
)

func TestRetryAfterDoesNotWrapAround(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "3600": time.Hour, "3601": time.Hour, "9223372037": time.Hour, "9223372036854775807": time.Hour,
		"9223372036854775808": 0, "-1": 0, "Fri, 31 Dec 2027 23:59:59 GMT": 0,
	} {
		require.Equal(t, want, retryAfterOf(&http.Response{Header: http.Header{"Retry-After": {value}}}), value)
	}
}

// TestErrorsOfPostsHideTheURL: its query is often a secret.
func TestErrorsOfPostsHideTheURL(t *testing.T) {
	t.Parallel()
	w := &Webhook{client: &http.Client{}, Options: Options{URL: "http://127.0.0.1:1/hook?key=hunter2", Timeout: time.Minute}}
	_, err := w.post(t.Context(), "id", "", nil)
	require.ErrorContains(t, err, "connect")
	require.NotContains(t, err.Error(), "hunter2")
}

// TestAnswersOfAppServersAreBounded: their headers while they are read, and what a client reads
// of their problems.
func TestAnswersOfAppServersAreBounded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxAnswerHeader))
	}))
	defer server.Close()
	w, err := New(nil, Options{Name: "shop", URL: server.URL, Secret: make([]byte, minSecret)})
	require.NoError(t, err)
	defer w.Close()
	_, err = w.post(t.Context(), "id", "", nil)
	require.ErrorContains(t, err, "response headers exceeded")

	text, err := json.Marshal(map[string]string{"detail": strings.Repeat("\u00e9", maxDetail)})
	require.NoError(t, err)
	err = refusal(&http.Response{Header: http.Header{"Content-Type": {problem.ContentType}}}, text)
	var e *broker.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, strings.Repeat("\u00e9", maxDetail/2), e.Message)
}
