package gateway

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/clientaddr"
)

// The transports of SockJS, by the names of sockjs-client.
const (
	SockJSWebSocket    = "websocket"
	SockJSXHRStreaming = "xhr-streaming"
	SockJSXHRPolling   = "xhr-polling"
	SockJSEventSource  = "eventsource"
	SockJSHTMLFile     = "htmlfile"
	SockJSJSONPPolling = "jsonp-polling"
)

// SockJSTransports are all of them.
var SockJSTransports = []string{SockJSWebSocket, SockJSXHRStreaming, SockJSXHRPolling, SockJSEventSource, SockJSHTMLFile, SockJSJSONPPolling}

// SockJSOptions configure a SockJS. The zero value is ready for use.
type SockJSOptions struct {
	// Prefix is the path of the handler. Default /sockjs.
	Prefix string
	// AllowedOrigins are as for WebSockets.
	AllowedOrigins []string
	// Transports are the enabled transports. Default [SockJSTransports].
	Transports []string
	// HeartBeat is the time without data after which SockJS sends its own heart-beat. Default 25
	// s.
	HeartBeat time.Duration
	// DisconnectDelay is how long a session may be without a polling or streaming request before
	// it ends. Default 5 s.
	DisconnectDelay time.Duration
	// ClientURL is the URL of sockjs-client for pages in iframes, which only old browsers need.
	// Default the copy that the handler serves.
	ClientURL string
	// MaxMessage is the largest WebSocket message or request body in bytes, after CONNECTED. The
	// default is that of WebSockets.
	MaxMessage int64
	// Compression applies to raw WebSockets.
	Compression bool
	// BodyTimeout is how long a request's body may take. Default 30 s.
	BodyTimeout time.Duration
	// ResponseLimit is the size in bytes after which a streaming answer ends, so that browsers
	// can free it. Default 128 KiB.
	ResponseLimit int
	// MaxPending bounds the sessions over HTTP that have not connected. Default 4096.
	MaxPending int
	// MaxBodies bounds the bytes of large messages that are being read, for all sessions
	// together. The first 64 KiB of each do not count. Default 64 MiB; never less than
	// MaxMessage.
	MaxBodies int64
	// AnyAddress lets the requests of a session come from any address. By default they must come
	// from the address of the first one.
	AnyAddress bool
	// Logger reports pages that were refused. Default slog.Default.
	Logger *slog.Logger
	// Cookie sets the cookie JSESSIONID in answers, for the sticky sessions of load balancers.
	Cookie bool
}

// WithDefaults returns o with the defaults in place of zeros, except for those that depend
// on the broker.
func (o SockJSOptions) WithDefaults() SockJSOptions {
	o.Prefix = cmp.Or(o.Prefix, "/sockjs")
	o.HeartBeat = cmp.Or(o.HeartBeat, 25*time.Second)
	o.DisconnectDelay = cmp.Or(o.DisconnectDelay, 5*time.Second)
	o.ClientURL = cmp.Or(o.ClientURL, o.Prefix+sockJSClientPath)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, 30*time.Second)
	o.ResponseLimit = cmp.Or(o.ResponseLimit, 128<<10)
	o.MaxPending = cmp.Or(o.MaxPending, 4096)
	o.MaxBodies = cmp.Or(o.MaxBodies, 64<<20)
	if o.Transports == nil {
		o.Transports = SockJSTransports
	}
	return o
}

// SockJS serves STOMP to clients of SockJS (sockjs-protocol 0.3.3 and later). Their sessions are
// like all others. SockJS carries text, so a body that is not valid UTF-8 arrives with
// replacement characters.
type SockJS struct {
	pages    sockJSPages
	reader   sockJSBodyReader
	broker   *broker.Broker
	options  SockJSOptions
	routes   map[string]sockJSRoute // by the last word of a session's path
	static   map[string]sockJSRoute // by the whole path below the prefix
	iframe   sockJSRoute
	raw      *WebSocket
	upgrader websocket.Upgrader
	conns    connTracker
	refused  sockJSRefusals
	allowed  allowedOrigins
	origins  *originLog

	mu       sync.Mutex // guards the following
	sessions map[sockJSKey]*sockJSSession
	ids      map[string]int // sessions of each id, at whatever address
	pending  sockJSPending  // sessions that have not connected
	bodies   sockJSBodies   // messages that are being read
}

// sockJSKey is what a session is found by. Two clients that chose one id are two
// sessions, so that an id is of no use to who guesses it or reads it in a log.
type sockJSKey struct{ address, id string }

// sockJSRefusals count requests that were refused.
type sockJSRefusals struct{ address, pending, bodies, size, timeout atomic.Int64 }

// SockJSStats count the HTTP sessions of a SockJS.
type SockJSStats struct {
	// Sessions are open, or have ended and still report that. Pending have not connected.
	Sessions, Pending int64
	// BodyBytes are the bytes of large messages that are being read.
	BodyBytes int64
	// Refused counts refused requests by reason.
	Refused map[string]int64
}

// NewSockJS returns a handler for o.Prefix and all paths below it. Use Mount: an http.ServeMux
// cleans paths that SockJS has to answer with 404.
func NewSockJS(b *broker.Broker, o SockJSOptions) *SockJS {
	o = o.WithDefaults()
	o.MaxMessage = cmp.Or(o.MaxMessage, defaultMaxMessage(b))
	o.MaxBodies = max(o.MaxBodies, o.MaxMessage)
	h := &SockJS{broker: b, options: o, sessions: make(map[sockJSKey]*sockJSSession), ids: make(map[string]int), pending: sockJSPending{byAddress: make(map[string][]*sockJSSession)}, bodies: sockJSBodies{limit: o.MaxBodies, byAddress: make(map[string]int64)}}
	h.pages, h.reader = sockJSPages{h}, sockJSBodyReader{h}
	h.origins = newOriginLog(o.Logger)
	h.allowed.set(o.AllowedOrigins)
	h.raw = NewWebSocket(b, WebSocketOptions{AllowedOrigins: o.AllowedOrigins, MaxMessage: o.MaxMessage, Compression: o.Compression, Logger: o.Logger})
	h.upgrader = websocket.Upgrader{
		ReadBufferSize: 512, WriteBufferSize: 512, WriteBufferPool: noWriteBuffers{}, HandshakeTimeout: 10 * time.Second,
		CheckOrigin: func(*http.Request) bool { return true }, // ServeHTTP has checked
	}
	h.setRoutes()
	return h
}

// SetAllowedOrigins replaces [SockJSOptions.AllowedOrigins], for requests from now on. It is
// safe for concurrent use.
func (h *SockJS) SetAllowedOrigins(origins []string) {
	h.allowed.set(origins)
	h.raw.SetAllowedOrigins(origins)
}

// sockJSRoute is what answers on one path, and with which methods.
type sockJSRoute struct {
	methods   []string
	preflight bool // OPTIONS too
	serve     http.HandlerFunc
}

func (h *SockJS) setRoutes() {
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	read := []string{http.MethodGet, http.MethodHead}
	h.iframe = sockJSRoute{methods: read, serve: h.pages.iframePage()}
	h.static = map[string]sockJSRoute{
		"":               {methods: read, serve: greeting},
		"/":              {methods: read, serve: greeting},
		"/info":          {methods: get, preflight: true, serve: h.pages.info},
		sockJSClientPath: {methods: read, serve: serveSockJSClient},
	}
	h.routes = make(map[string]sockJSRoute)
	serves := func(transport string) bool { return slices.Contains(h.options.Transports, transport) }
	if serves(SockJSWebSocket) {
		h.static["/websocket"] = sockJSRoute{methods: get, serve: upgradesOnly(h.raw.ServeHTTP)}
		h.routes["websocket"] = sockJSRoute{methods: get, serve: upgradesOnly(h.webSocket)}
	}
	receivers := map[string]struct {
		path string
		sockJSRoute
	}{
		SockJSXHRStreaming: {"xhr_streaming", sockJSRoute{post, true, h.receiver(xhrStreaming)}},
		SockJSXHRPolling:   {"xhr", sockJSRoute{post, true, h.receiver(xhrPolling)}},
		SockJSEventSource:  {"eventsource", sockJSRoute{get, false, h.receiver(eventSource)}},
		SockJSHTMLFile:     {"htmlfile", sockJSRoute{get, false, h.receiver(htmlFile)}},
		SockJSJSONPPolling: {"jsonp", sockJSRoute{get, false, h.receiver(jsonpPolling)}},
	}
	for transport, r := range receivers {
		if !serves(transport) {
			continue
		}
		h.routes[r.path] = r.sockJSRoute
		if transport == SockJSJSONPPolling {
			h.routes["jsonp_send"] = sockJSRoute{post, true, h.jsonpSend}
		} else {
			h.routes["xhr_send"] = sockJSRoute{post, true, h.xhrSend}
		}
	}
}

// route returns what answers on a path below the prefix.
func (h *SockJS) route(path string) (sockJSRoute, bool) {
	if r, ok := h.static[path]; ok {
		return r, true
	}
	if iframePath.MatchString(path) {
		return h.iframe, true
	}
	words := strings.Split(path, "/")
	if len(words) != 4 || words[0] != "" || !sockJSWord(words[1]) || !sockJSWord(words[2]) {
		return sockJSRoute{}, false
	}
	r, ok := h.routes[words[3]]
	return r, ok
}

// maxSockJSWord is the longest id of a server or a session in bytes.
const maxSockJSWord = 256

// sockJSWord reports whether a word of a path can name a server or a session.
func sockJSWord(word string) bool {
	return word != "" && len(word) <= maxSockJSWord && !strings.Contains(word, ".")
}

// Mount returns a handler that serves the prefix and all paths below it, and passes all other
// requests to next.
func (h *SockJS) Mount(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, h.options.Prefix); ok && (rest == "" || rest[0] == '/') {
			h.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP serves one request of a session, or one that a client sends before a session.
func (h *SockJS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// Whatever the answer is, net/http reads a body that the handler has not read.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.options.BodyTimeout))
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	route, ok := h.route(strings.TrimPrefix(r.URL.Path, h.options.Prefix))
	switch {
	case !ok:
		refuseSockJS(w, r, http.StatusNotFound, "SockJS has nothing here")
	case r.Method == http.MethodOptions && route.preflight:
		if h.pages.allowOrigin(w, r) {
			preflight(w, route.methods)
		}
	case !slices.Contains(route.methods, r.Method):
		methodNotAllowed(w, r, route)
	case h.pages.allowOrigin(w, r):
		route.serve(w, r)
	}
}

// Wait returns when all sessions have ended.
func (h *SockJS) Wait() {
	h.conns.Wait()
	h.raw.Wait()
}

// Stats returns the current counts.
func (h *SockJS) Stats() SockJSStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return SockJSStats{
		Sessions: int64(len(h.sessions)), Pending: int64(h.pending.count), BodyBytes: h.bodies.bytes,
		Refused: map[string]int64{
			"address": h.refused.address.Load(), "pending": h.refused.pending.Load(), "bodies": h.refused.bodies.Load(),
			"size": h.refused.size.Load(), "timeout": h.refused.timeout.Load(),
		},
	}
}

// RefusedOrigins is how many requests of pages were refused for their origin.
func (h *SockJS) RefusedOrigins() int64 { return h.origins.count.Load() }

// key is what the request's session is found by.
func (h *SockJS) key(r *http.Request) sockJSKey {
	words := strings.Split(strings.TrimPrefix(r.URL.Path, h.options.Prefix), "/")
	key := sockJSKey{id: words[2]} // route has counted them
	if !h.options.AnyAddress {
		key.address = clientaddr.Network(r.RemoteAddr)
	}
	return key
}
