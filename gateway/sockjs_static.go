package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // sockjs-client
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sockJSClientPath is where the handler serves sockjs-client, below its prefix.
const sockJSClientPath = "/sockjs.min.js"

//go:embed static/sockjs.min.js
var sockJSClient string

// year is how long what never changes may be kept.
const year = 365 * 24 * time.Hour

// neverCached is the Cache-Control of answers that are one client's.
const neverCached = "no-store, no-cache, no-transform, must-revalidate, max-age=0"

func cacheable(header http.Header) {
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(year.Seconds())))
	header.Set("Expires", time.Now().Add(year).UTC().Format(http.TimeFormat))
}

func plainText(header http.Header) { header.Set("Content-Type", "text/plain; charset=UTF-8") }

func greeting(w http.ResponseWriter, _ *http.Request) {
	plainText(w.Header())
	_, _ = w.Write([]byte("Welcome to SockJS!\n"))
}

// sockJSPages answers with what does not concern a session.
type sockJSPages struct{ *SockJS }

// info says what the server can do, and gives clients a random number.
func (h sockJSPages) info(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", neverCached)
	if h.broker.Draining() {
		unavailable(w, "1", "the server is shutting down")
		return
	}
	var entropy [4]byte
	_, _ = rand.Read(entropy[:]) // does not fail
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"websocket":     slices.Contains(h.options.Transports, SockJSWebSocket),
		"cookie_needed": h.options.Cookie,
		"origins":       []string{"*:*"},
		"entropy":       binary.BigEndian.Uint32(entropy[:]),
	})
}

// iframePath is that of the page, which clients call by their version.
var iframePath = regexp.MustCompile(`^/iframe[0-9-.a-z_]*\.html$`)

// iframePage returns the handler of the page that old browsers put into an iframe to
// reach the server of another origin. It speaks from this origin for the page around
// it, so only pages of allowed origins may be around it.
func (h sockJSPages) iframePage() http.HandlerFunc {
	page := `<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="` + html.EscapeString(h.options.ClientURL) + `"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>`
	etag := entityTag(page)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", frameAncestors(h.allowed.list()))
		serveText(w, r, "text/html; charset=UTF-8", etag, page)
	}
}

// frameAncestors is a Content-Security-Policy that lets pages of allowed origins, and
// no others, frame a page.
func frameAncestors(origins []string) string {
	policy := "frame-ancestors 'self'"
	for _, origin := range origins {
		switch {
		case origin == LoopbackOrigins:
			policy += " http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:*"
		case origin == anyOrigin:
			policy += " *"
		case !strings.ContainsAny(origin, " ;,'\r\n") && origin != opaqueOrigin && origin != fileOrigin:
			policy += " " + origin
		}
	}
	return policy
}

var sockJSClientTag = entityTag(sockJSClient)

func serveSockJSClient(w http.ResponseWriter, r *http.Request) {
	serveText(w, r, "application/javascript; charset=UTF-8", sockJSClientTag, sockJSClient)
}

func entityTag(text string) string {
	sum := sha256.Sum256([]byte(text))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// serveText answers with a text that never changes, or with 304.
func serveText(w http.ResponseWriter, r *http.Request, contentType, etag, text string) {
	cacheable(w.Header())
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", contentType)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

// preflight answers the question of a browser whether a page of another origin may ask.
func preflight(w http.ResponseWriter, methods []string) {
	cacheable(w.Header())
	w.Header().Set("Access-Control-Allow-Methods", strings.Join(append([]string{http.MethodOptions}, methods...), ", "))
	w.Header().Set("Access-Control-Max-Age", strconv.Itoa(int(year.Seconds())))
	w.WriteHeader(http.StatusNoContent)
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request, route sockJSRoute) {
	methods := route.methods
	if route.preflight {
		methods = append([]string{http.MethodOptions}, methods...)
	}
	leaveBody(w, r)
	w.Header().Set("Allow", strings.Join(methods, ", "))
	w.Header()["Content-Type"] = nil // or net/http guesses one
	w.WriteHeader(http.StatusMethodNotAllowed)
}

// allowOrigin reports whether a page of the request's origin may ask, and tells the
// browser. Otherwise it answers.
func (h sockJSPages) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	header := w.Header()
	header.Add("Vary", "Origin")
	if !originAllowed(r, h.allowed.list()) {
		h.origins.refused(r)
		leaveBody(w, r)
		handshakeError(w, r, http.StatusForbidden, http.ErrNotSupported)
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		origin = "*"
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		header.Set("Access-Control-Allow-Headers", asked)
	}
	return true
}

// allowScript is allowOrigin for what a page loads as a script or a frame: browsers
// send no Origin with it, but say what kind of page asks.
func (h sockJSPages) allowScript(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Origin") != "" {
		return true // allowOrigin has checked
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	referer, err := url.Parse(r.Referer())
	if err == nil && referer.Host != "" {
		asked := &http.Request{URL: r.URL, Host: r.Host, TLS: r.TLS, Header: http.Header{"Origin": {referer.Scheme + "://" + referer.Host}}}
		if originAllowed(asked, h.allowed.list()) {
			return true
		}
	}
	http.Error(w, "a page of another origin, which is not in http.allowed_origins, may not load this", http.StatusForbidden)
	return false
}

// refuseSockJS answers with an error.
func refuseSockJS(w http.ResponseWriter, r *http.Request, status int, text string) {
	if status != http.StatusRequestTimeout { // of which the time is over
		leaveBody(w, r)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	plainText(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// unavailable has the client come again, after so many seconds.
func unavailable(w http.ResponseWriter, seconds, text string) {
	w.Header().Set("Retry-After", seconds)
	http.Error(w, text, http.StatusServiceUnavailable)
}

// leaveTime is how long net/http may wait for the rest of a body that is of no use.
const leaveTime = time.Second

// leaveBody keeps net/http from waiting for a body long.
func leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(leaveTime))
	}
}

// sessionCookie sets the cookie that load balancers stick to, to what it was.
func (h sockJSPages) sessionCookie(w http.ResponseWriter, r *http.Request) {
	if !h.options.Cookie {
		return
	}
	value := "dummy"
	if c, err := r.Cookie("JSESSIONID"); err == nil && c.Value != "" {
		value = c.Value
	}
	//nolint:gosec // for sticky sessions, also over http; the value is no secret
	http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: value, Path: "/", HttpOnly: true})
}
