package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/test"
)

// TestEveryUserIsFoundByTheName in each path of the API, also behind another mux.
func TestEveryUserIsFoundByTheName(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := apiServer(t, n)
	outer := http.NewServeMux()
	outer.Handle("/api/", server.Config.Handler)
	server.Config.Handler = httpapi.KeepUserNames(outer)
	ask := func(method, path string, answer any) {
		t.Helper()
		u, err := url.Parse(server.URL)
		require.NoError(t, err)
		u.Path, err = url.PathUnescape(path)
		require.NoError(t, err)
		u.RawPath = path
		r, err := http.NewRequest(method, u.String(), nil)
		require.NoError(t, err)
		if strings.HasSuffix(path, "/unsubscribe") {
			r.URL.RawQuery = "destination=/topic/a"
		}
		r.Header.Set("Authorization", "Bearer "+test.Token(t, "admin", time.Hour, auth.AllGrants()))
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", path, body)
		require.NoError(t, json.Unmarshal(body, answer))
	}
	for name, path := range map[string]string{
		"/": "%2F", ".": "%2E", "..": "%2e%2E", "...": "...", "%": "%25", "%2F": "%252F", "a/../b": "a%2F..%2Fb", "//": "%2F%2F",
		" ": "%20", "a+b": "a+b", "?": "%3F", "#": "%23", "a&b=c;d": "a&b=c;d", "bob@example.com": "bob@example.com", "disconnect": "disconnect",
		"*": "*", "\u00fc": "%C3%BC", "-x": "-x", "a\nb": "a%0Ab",
	} {
		c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, name, time.Hour, auth.AllGrants()))
		c.Subscribe("s", "/topic/a")
		var user struct {
			Name     string
			Sessions []admin.SessionInfo
		}
		ask(http.MethodGet, "/api/users/"+path, &user)
		require.Equal(t, name, user.Name)
		require.Len(t, user.Sessions, 1)
		require.Equal(t, c.Connected.Get("session"), user.Sessions[0].ID)
		var ended struct{ Unsubscribed, Disconnected int }
		ask(http.MethodPost, "/api/users/"+path+"/unsubscribe", &ended)
		require.Equal(t, 1, ended.Unsubscribed, name)
		ask(http.MethodPost, "/api/users/"+path+"/disconnect", &ended)
		require.Equal(t, 1, ended.Disconnected, name)
		c.Expect("ERROR")
	}
	// As they are, dots are no step either, for clients that leave them.
	c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "..", time.Hour, auth.AllGrants()))
	var ended struct{ Disconnected int }
	ask(http.MethodPost, "/api/users/../disconnect", &ended)
	require.Equal(t, 1, ended.Disconnected)
	c.Expect("ERROR")
}
