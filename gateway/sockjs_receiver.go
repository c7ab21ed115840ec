package gateway

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sockJSTransport is how frames travel in the answers of one transport.
type sockJSTransport struct {
	contentType string
	prelude     []byte
	begin, end  []byte // around each frame
	quote       bool   // a frame is inside of a script's string
	polling     bool   // an answer is complete with its first frame
}

// newTransport makes the transport of one request, or answers that it cannot.
type newTransport func(h *SockJS, w http.ResponseWriter, r *http.Request) (*sockJSTransport, bool)

const javaScript = "application/javascript; charset=UTF-8"

var (
	xhrPollingTransport = &sockJSTransport{contentType: javaScript, end: []byte("\n"), polling: true}
	// Browsers show nothing of an answer before it has 2 KiB.
	xhrStreamingTransport = &sockJSTransport{contentType: javaScript, prelude: []byte(strings.Repeat("h", 2048) + "\n"), end: []byte("\n")}
	eventSourceTransport  = &sockJSTransport{contentType: "text/event-stream", prelude: []byte("\r\n"), begin: []byte("data: "), end: []byte("\r\n\r\n")}
)

func xhrPolling(*SockJS, http.ResponseWriter, *http.Request) (*sockJSTransport, bool) {
	return xhrPollingTransport, true
}

func xhrStreaming(*SockJS, http.ResponseWriter, *http.Request) (*sockJSTransport, bool) {
	return xhrStreamingTransport, true
}

func eventSource(*SockJS, http.ResponseWriter, *http.Request) (*sockJSTransport, bool) {
	return eventSourceTransport, true
}

func jsonpPolling(h *SockJS, w http.ResponseWriter, r *http.Request) (*sockJSTransport, bool) {
	callback, ok := h.callback(w, r)
	// The comment keeps the answer from being taken for anything but a script.
	return &sockJSTransport{contentType: javaScript, begin: []byte("/**/" + callback + `("`), end: []byte("\");\r\n"), quote: true, polling: true}, ok
}

// minHTMLPrelude is how much of a page browsers wait for.
const minHTMLPrelude = 1024

func htmlFile(h *SockJS, w http.ResponseWriter, r *http.Request) (*sockJSTransport, bool) {
	callback, ok := h.callback(w, r)
	page := `<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.` + callback + `;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>
`
	page += strings.Repeat(" ", max(minHTMLPrelude-len(page), 0)) + "\r\n\r\n"
	return &sockJSTransport{contentType: "text/html; charset=UTF-8", prelude: []byte(page), begin: []byte("<script>\np(\""), end: []byte("\");\n</script>\r\n"), quote: true}, ok
}

// maxCallback is the longest name of a callback in bytes.
const maxCallback = 128

var notOfCallbacks = regexp.MustCompile(`[^a-zA-Z0-9-_.]`)

// callback returns the name of the page's function that takes frames, or answers.
func (h *SockJS) callback(w http.ResponseWriter, r *http.Request) (string, bool) {
	if !h.pages.allowScript(w, r) {
		return "", false
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	callback := query.Get("c")
	switch {
	case err == nil && callback == "":
		refuseSockJS(w, r, http.StatusInternalServerError, `"callback" parameter required`)
	case err != nil, len(callback) > maxCallback, notOfCallbacks.MatchString(callback):
		refuseSockJS(w, r, http.StatusInternalServerError, `invalid "callback" parameter`)
	default:
		return callback, true
	}
	return "", false
}

// receiver returns a handler of requests on which messages travel to the client.
func (h *SockJS) receiver(transport newTransport) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, ok := transport(h, w, r)
		if !ok || !h.skipBody(w, r) {
			return
		}
		s, err := h.open(r)
		if err != nil {
			unavailable(w, "5", err.Error())
			return
		}
		header := w.Header()
		header.Set("Content-Type", t.contentType)
		header.Set("Cache-Control", neverCached)
		header.Set("X-Accel-Buffering", "no")
		h.pages.sessionCookie(w, r)
		receiver := newSockJSReceiver(h, w, r, t)
		receiver.progress = &s.written
		h.serveReceiver(s, receiver, r)
	}
}

// serveReceiver answers until the answer is complete, the session ends or the client
// goes.
func (h *SockJS) serveReceiver(s *sockJSSession, receiver *sockJSReceiver, r *http.Request) {
	defer receiver.leave()
	s.session.Touch() // the client is there, also where its page sends no heart-beats
	full, attached := receiver.begin(s)
	if !attached {
		return
	}
	if full {
		s.release(receiver)
	}
	beat := time.NewTimer(h.options.HeartBeat)
	defer beat.Stop()
	for {
		select {
		case <-receiver.released:
			return
		case <-receiver.closing:
			receiver.sendLast(s.lastFrame())
			return
		case <-r.Context().Done():
			s.interrupt(receiver)
			return
		case <-beat.C:
			next, full, err := receiver.sendHeartBeat(h.options.HeartBeat)
			switch {
			case full:
				s.release(receiver)
			case err != nil && !errors.Is(err, errSockJSFull):
				s.interrupt(receiver)
			}
			beat.Reset(next)
		}
	}
}

// sockJSReceiver is one answer of HTTP that carries a session's frames. Nothing of
// net/http's is used once leave has returned, which the handler calls before it does.
type sockJSReceiver struct {
	transport *sockJSTransport
	limit     int
	timeout   time.Duration // of one piece that is written
	progress  *atomic.Uint64
	resets    bool          // the next request on the connection has a time of its own
	released  chan struct{} // closed when the answer is complete
	closing   chan struct{} // closed when the session ends

	controlling sync.Mutex // guards the following, and is taken after writing
	controller  *http.ResponseController
	aborted     bool

	writing sync.Mutex // guards the following
	w       http.ResponseWriter
	err     error // of a write; there is no other then
	sent    int
	piece   int       // bytes that were written by the deadline in force
	last    time.Time // of a frame
	scratch []byte
}

func newSockJSReceiver(h *SockJS, w http.ResponseWriter, r *http.Request, t *sockJSTransport) *sockJSReceiver {
	limit := h.options.ResponseLimit
	if t.polling {
		limit = 1
	}
	// A server with a time for answers sets it at each request; another would keep ours.
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return &sockJSReceiver{
		resets: r.ProtoMajor > 1 || server != nil && server.WriteTimeout > 0,
		// The broker ends the session sooner, and says so, if it is the broker that writes.
		transport: t, limit: limit, timeout: 2 * min(h.broker.Limits().WriteTimeout, maxWriteTimeout),
		released: make(chan struct{}), closing: make(chan struct{}),
		controller: http.NewResponseController(w), w: w, last: time.Now(),
	}
}

// errSockJSFull is that of an answer that takes no more.
var errSockJSFull = errors.New("gateway: the answer is complete")

// begin writes what comes first, and has the session's frames follow.
func (r *sockJSReceiver) begin(s *sockJSSession) (full, attached bool) {
	r.writing.Lock() // the session's frames wait
	defer r.writing.Unlock()
	r.setDeadline(r.deadline())
	if p := r.transport.prelude; p != nil {
		r.writeLocked(p)
		r.flushLocked()
		r.sent = 0 // it does not count
	}
	if r.err != nil {
		return false, false // the client has gone
	}
	first, attached := s.attach(r)
	if first == nil {
		return false, attached
	}
	full, err := r.sendLocked(first)
	if err != nil && attached {
		s.interrupt(r)
		return false, false
	}
	return full, attached
}

// sendMessages sends messages as one frame, and reports whether the answer is complete
// with it.
func (r *sockJSReceiver) sendMessages(messages [][]byte) (full bool, err error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	pieces := make([][]byte, 0, 2*len(messages)+1)
	separator := arrayBegins
	for _, m := range messages {
		pieces = append(pieces, separator, m)
		separator = arrayGoesOn
	}
	return r.sendLocked(append(pieces, arrayEnds)...)
}

var arrayBegins, arrayGoesOn, arrayEnds = []byte("a["), []byte(","), []byte("]")

// sendHeartBeat sends one if there was silence for an interval, and returns when to
// call it again.
func (r *sockJSReceiver) sendHeartBeat(interval time.Duration) (next time.Duration, full bool, err error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	if silent := time.Since(r.last); silent < interval {
		return interval - silent, false, nil
	}
	full, err = r.sendLocked(sockJSHeartBeat)
	return interval, full, err
}

// maxLinger is how long the last frame of a session may take.
const maxLinger = 3 * time.Second

// sendLast sends the frame of a session that has ended.
func (r *sockJSReceiver) sendLast(frame []byte) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.timeout = min(r.timeout, maxLinger)
	_, _ = r.sendLocked(frame)
}

// sendLocked sends one frame.
func (r *sockJSReceiver) sendLocked(pieces ...[]byte) (full bool, err error) {
	if r.sent >= r.limit {
		return false, errSockJSFull
	}
	r.setDeadline(r.deadline())
	r.piece = 0
	r.writeLocked(r.transport.begin)
	for _, piece := range pieces {
		if r.transport.quote {
			r.scratch = appendQuoted(r.scratch[:0], piece)
			piece = r.scratch
		}
		r.writeLocked(piece)
	}
	r.writeLocked(r.transport.end)
	if r.last = time.Now(); r.sent < r.limit {
		r.flushLocked() // or net/http does
	}
	r.setDeadline(time.Time{}) // which would end an idle stream of HTTP/2
	return r.err == nil && r.sent >= r.limit, r.err
}

func (r *sockJSReceiver) writeLocked(p []byte) {
	for r.err == nil && len(p) > 0 {
		if r.piece >= maxPiece {
			r.setDeadline(r.deadline()) // a client that reads slowly has more time
			r.piece = 0
		}
		var n int
		n, r.err = r.w.Write(p[:min(len(p), maxPiece)])
		r.progress.Add(uint64(n))
		r.sent += n
		r.piece += n
		p = p[n:]
	}
}

func (r *sockJSReceiver) flushLocked() {
	if r.err == nil {
		r.err = r.controller.Flush()
	}
}

// maxWriteTimeout bounds the time of a write.
const maxWriteTimeout = 24 * time.Hour

// deadline is when a write that begins now has to be done.
func (r *sockJSReceiver) deadline() time.Time {
	if r.timeout <= 0 {
		return time.Time{}
	}
	return time.Now().Add(r.timeout)
}

func (r *sockJSReceiver) setDeadline(t time.Time) {
	r.controlling.Lock()
	defer r.controlling.Unlock()
	if !r.aborted {
		_ = r.controller.SetWriteDeadline(t)
	}
}

// abort ends a write that is under way, and lets none follow.
func (r *sockJSReceiver) abort() {
	r.controlling.Lock()
	defer r.controlling.Unlock()
	r.aborted = true
	if r.controller != nil {
		_ = r.controller.SetWriteDeadline(time.Now())
	}
}

// leave waits for a write that is under way, and has none follow.
func (r *sockJSReceiver) leave() {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.err == nil {
		r.err = net.ErrClosed
	}
	r.controlling.Lock()
	defer r.controlling.Unlock()
	var last time.Time
	if r.resets {
		last = r.deadline() // of what net/http writes yet
	}
	if !r.aborted {
		_ = r.controller.SetWriteDeadline(last)
	}
	r.w, r.controller = nil, nil
}
