package gateway_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

const notCached = "no-store, no-cache, no-transform, must-revalidate, max-age=0"

func TestSockJSGreets(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{Cookie: true})
	for _, path := range []string{"", "/"} {
		answer := server.do("GET", path, "")
		require.Equal(t, http.StatusOK, answer.status)
		require.Equal(t, "text/plain; charset=UTF-8", answer.header.Get("Content-Type"))
		require.Equal(t, "Welcome to SockJS!\n", answer.body)
		require.Empty(t, answer.header.Get("Set-Cookie"))
	}
}

func TestSockJSInfo(t *testing.T) {
	t.Parallel()
	log := new(test.Log)
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{AllowedOrigins: []string{"https://app.example", "null"}, Cookie: true, Logger: slog.New(slog.NewTextHandler(log, nil))})
	entropies := make(map[uint32]bool)
	for range 2 {
		answer := server.do("GET", "/info", "", "Origin", "https://app.example")
		require.Equal(t, http.StatusOK, answer.status)
		require.Equal(t, "application/json; charset=UTF-8", answer.header.Get("Content-Type"))
		require.Equal(t, notCached, answer.header.Get("Cache-Control"))
		require.Empty(t, answer.header.Get("Expires")+answer.header.Get("Last-Modified")+answer.header.Get("Set-Cookie"))
		require.Equal(t, "https://app.example", answer.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "true", answer.header.Get("Access-Control-Allow-Credentials"))
		require.Equal(t, "Origin", answer.header.Get("Vary"))
		var info struct {
			WebSocket    *bool    `json:"websocket"`
			CookieNeeded *bool    `json:"cookie_needed"`
			Origins      []string `json:"origins"`
			Entropy      *uint32  `json:"entropy"`
		}
		require.NoError(t, json.Unmarshal([]byte(answer.body), &info))
		require.True(t, *info.WebSocket)
		require.True(t, *info.CookieNeeded)
		require.Equal(t, []string{"*:*"}, info.Origins)
		entropies[*info.Entropy] = true
	}
	require.Len(t, entropies, 2)
	require.Equal(t, "*", server.do("GET", "/info", "").header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "null", server.do("GET", "/info", "", "Origin", "null").header.Get("Access-Control-Allow-Origin"))
	require.Empty(t, log.String())
	answer := server.do("GET", "/info", "", "Origin", "https://evil.example")
	require.Equal(t, http.StatusForbidden, answer.status)
	require.Contains(t, log.String(), "origin=https://evil.example")
	require.NotContains(t, answer.header, "Access-Control-Allow-Origin")
}

func TestSockJSPreflights(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{AllowedOrigins: []string{"https://app.example"}})
	for path, methods := range map[string]string{
		"/info": "OPTIONS, GET", "/abc/abc/xhr": "OPTIONS, POST", "/abc/abc/xhr_send": "OPTIONS, POST",
		"/abc/abc/xhr_streaming": "OPTIONS, POST", "/abc/abc/jsonp_send": "OPTIONS, POST",
	} {
		for asked, allowed := range map[string]string{"a, b, c": "a, b, c", "": ""} {
			answer := server.do("OPTIONS", path, "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", asked)
			require.Equal(t, http.StatusNoContent, answer.status, path)
			require.Empty(t, answer.body)
			require.Equal(t, "public, max-age=31536000", answer.header.Get("Cache-Control"))
			expires, err := http.ParseTime(answer.header.Get("Expires"))
			require.NoError(t, err)
			require.Greater(t, time.Until(expires), 360*24*time.Hour)
			require.Equal(t, "31536000", answer.header.Get("Access-Control-Max-Age"))
			require.Equal(t, methods, answer.header.Get("Access-Control-Allow-Methods"))
			require.Equal(t, "https://app.example", answer.header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, "true", answer.header.Get("Access-Control-Allow-Credentials"))
			require.Equal(t, allowed, answer.header.Get("Access-Control-Allow-Headers"))
		}
		require.Equal(t, http.StatusForbidden, server.do("OPTIONS", path, "", "Origin", "https://evil.example").status)
	}
}

func TestSockJSIframe(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{AllowedOrigins: []string{"https://app.example", gateway.LoopbackOrigins}})
	first := server.do("GET", "/iframe.html", "")
	require.Contains(t, first.body, `<script src="/sockjs/sockjs.min.js"></script>`)
	require.Contains(t, first.body, "SockJS.bootstrap_iframe();")
	for _, path := range []string{"/iframe.html", "/iframe-a.html", "/iframe-.html", "/iframe-0.1.2.html", "/iframe-0.1.2abc-dirty.2144.html", "/iframe-a.html?t=1234"} {
		answer := server.do("GET", path, "")
		require.Equal(t, http.StatusOK, answer.status, path)
		require.Equal(t, "text/html; charset=UTF-8", answer.header.Get("Content-Type"))
		require.Equal(t, "public, max-age=31536000", answer.header.Get("Cache-Control"))
		require.NotEmpty(t, answer.header.Get("Expires"))
		require.Empty(t, answer.header.Get("Last-Modified")+answer.header.Get("Set-Cookie"))
		require.Equal(t, first.header.Get("ETag"), answer.header.Get("ETag"))
		require.Equal(t, first.body, answer.body)
		require.Equal(t, "frame-ancestors 'self' https://app.example http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:*",
			answer.header.Get("Content-Security-Policy"), "no foreign page speaks through this one")
	}
	require.Regexp(t, `^".+"$`, first.header.Get("ETag"))
	again := server.do("GET", "/iframe.html", "", "If-None-Match", first.header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.status)
	require.Empty(t, again.body+again.header.Get("Content-Type"))
	for _, path := range []string{"/iframe.htm", "/iframe", "/IFRAME.HTML", "/IFRAME", "/iframe.HTML", "/iframe.xml", "/iframe-/.html"} {
		require.Equal(t, http.StatusNotFound, server.do("GET", path, "").status, path)
	}
	script := server.do("GET", "/sockjs.min.js", "")
	require.Equal(t, "application/javascript; charset=UTF-8", script.header.Get("Content-Type"))
	require.Contains(t, script.body, "sockjs-client v1.6.1")

	elsewhere := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{ClientURL: `https://cdn.example/"sockjs.js`})
	require.Contains(t, elsewhere.do("GET", "/iframe.html", "").body, `<script src="https://cdn.example/&#34;sockjs.js"></script>`)
}

func TestSockJSCookie(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{Cookie: true})
	for i, request := range []string{"POST xhr", "POST xhr_streaming", "GET eventsource", "GET htmlfile?c=x", "GET jsonp?c=x"} {
		method, path, _ := strings.Cut(request, " ")
		session := "/000/" + string(rune('a'+i)) + "/"
		require.Equal(t, "JSESSIONID=dummy; Path=/; HttpOnly", server.open(method, session+path, "").Header.Get("Set-Cookie"), request)
		session = "/000/" + string(rune('A'+i)) + "/"
		require.Equal(t, "JSESSIONID=abcdef; Path=/; HttpOnly", server.open(method, session+path, "", "Cookie", "JSESSIONID=abcdef").Header.Get("Set-Cookie"), request)
	}
	require.Equal(t, "JSESSIONID=dummy; Path=/; HttpOnly", server.do("POST", "/000/a/xhr_send", "[]").header.Get("Set-Cookie"))
	require.Equal(t, "JSESSIONID=dummy; Path=/; HttpOnly", server.do("POST", "/000/a/jsonp_send", "[]").header.Get("Set-Cookie"))

	without := sockJSOf(t, n, gateway.SockJSOptions{})
	answer := without.do("POST", "/000/a/xhr", "", "Cookie", "JSESSIONID=abcdef")
	require.NotContains(t, answer.header, "Set-Cookie")
	require.Contains(t, without.do("GET", "/info", "").body, `"cookie_needed":false`)
}

// TestSockJSScriptsAreForAllowedPages: browsers send no Origin with scripts and frames.
func TestSockJSScriptsAreForAllowedPages(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{AllowedOrigins: []string{"https://app.example"}})
	for i, c := range []struct {
		site, referer string
		status        int
	}{
		{"", "", http.StatusOK},
		{"same-origin", "", http.StatusOK},
		{"none", "", http.StatusOK},
		{"cross-site", "https://app.example/page", http.StatusOK},
		{"same-site", server.http.URL + "/page", http.StatusOK},
		{"cross-site", "https://evil.example/page", http.StatusForbidden},
		{"cross-site", "", http.StatusForbidden},
		{"same-site", "", http.StatusForbidden},
	} {
		for _, path := range []string{"jsonp", "htmlfile"} {
			answer := server.open("GET", "/0/"+path+string(rune('a'+i))+"/"+path+"?c=x", "", "Sec-Fetch-Site", c.site, "Referer", c.referer)
			require.Equal(t, c.status, answer.StatusCode, "%s %+v", path, c)
		}
	}
}
