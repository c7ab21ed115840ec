package webhook

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
