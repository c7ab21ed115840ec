package gateway

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		origin, host string
		secure       bool
		allowed      []string
		want         bool
	}{
		{"https://app.example", "app.example", true, nil, true},
		{"https://app.example", "app.example:443", true, nil, true},
		{"https://app.example:443", "app.example", true, nil, true},
		{"http://app.example", "app.example:80", false, nil, true},
		{"https://app.example", "app.example", false, nil, true}, // something in front ends TLS
		{"http://app.example", "app.example", true, nil, false},  // anyone on its network may have written the page
		{"http://app.example:443", "app.example:443", true, nil, false},
		{"https://app.example:8443", "app.example", true, nil, false},
		{"https://app.example:8443", "app.example:8443", true, nil, true},
		{"ftp://app.example", "app.example", false, nil, false},
		{"http://[::1]:8080", "[::1]:8080", false, nil, true},
		{"https://APP.example", "app.example", true, nil, true},

		{"null", "a", false, nil, false},
		{"null", "a", false, []string{"*"}, true},
		{"file://", "a", false, []string{"*"}, true},
		{"https://any.example", "a", false, []string{"*"}, true},
		{"null", "a", false, []string{"null"}, true},
		{"file://", "a", false, []string{"null"}, false},
		{"file://", "a", false, []string{"file://"}, true},
		{"https://b.example", "a", false, []string{"https://b.example:443"}, true},
		{"http://b.example", "a", false, []string{"https://b.example"}, false},
		{"https://[::1]:8443", "a", false, []string{"https://[0:0:0:0:0:0:0:1]:8443"}, true},
		{"https://[::2]:8443", "a", false, []string{"https://[::1]:8443"}, false},
		{"https://app.example.", "a", false, []string{"https://app.example"}, false}, // another host to a browser
		{"capacitor://localhost", "a", false, []string{"capacitor://localhost"}, true},
		{"http://127.0.0.1:3000", "a", false, []string{"loopback"}, true},
		{"not an origin", "a", false, []string{"loopback"}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/ws", nil)
		r.Host = c.host
		r.Header.Set("Origin", c.origin)
		if c.secure {
			r.TLS = new(tls.ConnectionState)
		}
		require.Equal(t, c.want, originAllowed(r, c.allowed), "%+v", c)
	}
	r := httptest.NewRequest(http.MethodGet, "/events", nil)
	r.Header.Set("Origin", "null")
	require.False(t, originNamed(r, []string{"*", "null"}), "any page can be a sandboxed frame")
	for _, origins := range [][]string{{"https://b.example", "https://evil.example"}, {"", "https://evil.example"}} {
		r.Header["Origin"] = origins
		require.False(t, originAllowed(r, []string{"https://b.example"}), "a browser sends one")
	}
}

func TestOriginsThatCanNeverMatchAreRefused(t *testing.T) {
	t.Parallel()
	require.NoError(t, CheckOrigins([]string{"*", "null", "file://", "loopback", "https://app.example", "http://localhost:3000", "chrome-extension://abc",
		"https://app.example:443", "https://app.example.", "http://127.0.0.1:8080", "http://[::1]:8080", "https://[2001:DB8:0:0::1]", "https://xn--bcher-kva.example", "https://a_b.example", "https://3com.example", "https://3com", "HTTPS://App.Example"}))
	for _, entry := range []string{
		"app.example", "https://", "https://app.example/", "https://app.example/chat", "https://*.example", "localhost:3000", "",
		"wss://app.example", "ws://app.example", "https://b\u00fccher.example", "https://app.example:0443", "https://app.example:99999", "https://app.example:0",
		"http://127.1", "http://:8080", "http://127.0.0.1.", "http://0x7f.0.0.1", "http://2130706433", "http://[::1%25eth0]:8080", "http://[fe80::1", "https://app%20a.example", "https://user@app.example", "https://app.example?x", "https://app.example#x",
	} {
		require.Error(t, CheckOrigins([]string{entry}), entry)
	}
}

// TestLogsOfRefusedPagesShowNoPassword: no browser sends one, but others may.
func TestLogsOfRefusedPagesShowNoPassword(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	l := newOriginLog(slog.New(slog.NewTextHandler(&text, nil)))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "alice:hunter1@app.example"
	r.Header.Set("Origin", "https://alice:hunter2@evil.example")
	l.refused(r)
	require.Contains(t, text.String(), "origin=evil.example host=app.example")
	require.NotContains(t, text.String(), "hunter")
}
