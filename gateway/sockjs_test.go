package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// sockJSServer is a handler of SockJS on a listener, next to a mux of other paths.
type sockJSServer struct {
	t       *testing.T
	handler *gateway.SockJS
	http    *httptest.Server
	url     string // of the prefix
}

// testAddress is a header by which a request comes from another address.
const testAddress = "X-Test-Address"

func sockJSOf(t *testing.T, n *test.Node, o gateway.SockJSOptions) *sockJSServer {
	t.Helper()
	return startSockJS(t, n, o, (*httptest.Server).Start)
}

// startSockJS has start prepare and start the server.
func startSockJS(t *testing.T, n *test.Node, o gateway.SockJSOptions, start func(*httptest.Server)) *sockJSServer {
	t.Helper()
	handler := gateway.NewSockJS(n.Broker, o)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mounted := handler.Mount(mux)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if address := r.Header.Get(testAddress); address != "" {
			r.RemoteAddr = address
		}
		mounted.ServeHTTP(w, r)
	}))
	start(server)
	t.Cleanup(func() {
		late, stop := context.WithTimeout(context.Background(), test.Patience)
		defer stop()
		require.NoError(t, n.Broker.Shutdown(late))
		server.CloseClientConnections()
		server.Close()
		handler.Wait()
	})
	return &sockJSServer{t, handler, server, server.URL + "/sockjs"}
}

// sockJSAnswer is a whole answer.
type sockJSAnswer struct {
	status int
	header http.Header
	body   string
}

// open sends a request and returns when its answer begins. Headers are pairs.
func (s *sockJSServer) open(method, path, body string, headers ...string) *http.Response {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	require.NoError(s.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.http.Client().Transport.RoundTrip(r) // which follows no redirects
	require.NoError(s.t, err, "%s %s", method, path)
	s.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func (s *sockJSServer) do(method, path, body string, headers ...string) sockJSAnswer {
	s.t.Helper()
	answer := s.open(method, path, body, headers...)
	text, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err, "%s %s", method, path)
	return sockJSAnswer{answer.StatusCode, answer.Header, string(text)}
}

// stream sends a request whose answer goes on, and reads its prelude.
func (s *sockJSServer) stream(method, path, prelude string) *sockJSStream {
	s.t.Helper()
	answer := s.open(method, path, "")
	require.Equal(s.t, http.StatusOK, answer.StatusCode)
	stream := &sockJSStream{s.t, answer, bufio.NewReader(answer.Body)}
	stream.want(prelude)
	return stream
}

type sockJSStream struct {
	t      *testing.T
	answer *http.Response
	reader *bufio.Reader
}

// want wants what comes next to be this.
func (s *sockJSStream) want(text string) {
	s.t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(s.reader, got)
	require.NoError(s.t, err, "%q came", got)
	require.Equal(s.t, text, string(got))
}

// rest returns all that is to come until the answer ends.
func (s *sockJSStream) rest() string {
	s.t.Helper()
	text, err := io.ReadAll(s.reader)
	require.NoError(s.t, err)
	return string(text)
}

// poller is a client of SockJS over xhr-polling that asks only when a test has it ask.
type poller struct {
	t      *testing.T
	server *sockJSServer
	path   string
}

// poller opens a session, whose id is the last word of path.
func (s *sockJSServer) poller(path string) *poller {
	s.t.Helper()
	p := &poller{s.t, s, path}
	require.Equal(s.t, "o\n", p.poll())
	return p
}

func (p *poller) poll() string {
	p.t.Helper()
	answer := p.server.do(http.MethodPost, p.path+"/xhr", "")
	require.Equal(p.t, http.StatusOK, answer.status, answer.body)
	return answer.body
}

// next polls until a frame of the broker comes that is no heart-beat.
func (p *poller) next() string {
	p.t.Helper()
	for {
		if body := p.poll(); body != "h\n" && body != "a[\"\\n\"]\n" {
			return body
		}
	}
}

func (p *poller) send(command string, pairs ...string) {
	p.t.Helper()
	answer := p.server.do(http.MethodPost, p.path+"/xhr_send", sockJSMessage(p.t, command, pairs...))
	require.Equal(p.t, http.StatusNoContent, answer.status, answer.body)
}

func (p *poller) connect() *poller {
	p.t.Helper()
	p.send(frames.CONNECT, connectHeaders(p.t)...)
	require.Contains(p.t, p.next(), "CONNECTED")
	return p
}

// subscribe returns once messages arrive.
func (p *poller) subscribe(destination string) *poller {
	p.t.Helper()
	p.send(frames.SUBSCRIBE, "id", "s", "destination", destination, "receipt", "r")
	require.Contains(p.t, p.next(), `receipt-id:r`)
	return p
}

// connectHeaders are those of a CONNECT that is accepted. A token costs less than a passcode.
func connectHeaders(t *testing.T) []string {
	t.Helper()
	return []string{"accept-version", "1.2", "Authorization", "Bearer " + test.Token(t, "ann", time.Hour, auth.AllGrants())}
}

// sockJSMessage is a STOMP frame as clients of SockJS send it. A last odd string is its
// body.
func sockJSMessage(t *testing.T, command string, pairs ...string) string {
	t.Helper()
	var body string
	if len(pairs)%2 == 1 {
		body, pairs = pairs[len(pairs)-1], pairs[:len(pairs)-1]
	}
	f := frames.New(command, pairs...)
	f.Body = []byte(body)
	message, err := json.Marshal([]string{string(frames.Append(nil, f, frames.V12))})
	require.NoError(t, err)
	return string(message)
}

func TestSockJSLeavesOtherPathsAlone(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{})
	server.url = server.http.URL
	require.Equal(t, http.StatusOK, server.do("GET", "/healthz", "").status)
	for _, path := range []string{"/sockjsx", "/", "/sockj"} {
		require.Equal(t, "404 page not found\n", server.do("GET", path, "").body, path)
	}
}

func TestSockJSServesTheTransportsOfItsOptions(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	paths := map[string]string{
		gateway.SockJSWebSocket: "GET /0/a/websocket", gateway.SockJSXHRStreaming: "PUT /0/a/xhr_streaming",
		gateway.SockJSXHRPolling: "PUT /0/a/xhr", gateway.SockJSEventSource: "PUT /0/a/eventsource",
		gateway.SockJSHTMLFile: "PUT /0/a/htmlfile", gateway.SockJSJSONPPolling: "PUT /0/a/jsonp",
	}
	require.Len(t, gateway.SockJSTransports, len(paths))
	for _, transport := range gateway.SockJSTransports {
		server := sockJSOf(t, n, gateway.SockJSOptions{Transports: []string{transport}})
		for other, request := range paths {
			method, path, _ := strings.Cut(request, " ")
			status := server.do(method, path, "").status
			require.Equal(t, other == transport, status != http.StatusNotFound, "%s where only %s is served: %d", other, transport, status)
		}
		sends := map[string]bool{"/0/a/xhr_send": transport != gateway.SockJSWebSocket && transport != gateway.SockJSJSONPPolling, "/0/a/jsonp_send": transport == gateway.SockJSJSONPPolling}
		for path, served := range sends {
			require.Equal(t, served, server.do("PUT", path, "").status == http.StatusMethodNotAllowed, "%s where only %s is served", path, transport)
		}
		raw := server.do("GET", "/websocket", "").status
		require.Equal(t, transport == gateway.SockJSWebSocket, raw == http.StatusBadRequest, transport)
		info := server.do("GET", "/info", "").body
		require.Contains(t, info, `"websocket":`+map[bool]string{true: "true", false: "false"}[transport == gateway.SockJSWebSocket])
	}
}

// TestSockJSAnswersOddMethods: 405 names what is allowed, and says nothing else.
func TestSockJSAnswersOddMethods(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{})
	for request, allow := range map[string]string{
		"POST /0/0/websocket":      "GET",
		"POST /websocket":          "GET",
		"GET /0/0/xhr":             "OPTIONS, POST",
		"PUT /0/0/xhr_streaming":   "OPTIONS, POST",
		"GET /0/0/xhr_send":        "OPTIONS, POST",
		"DELETE /0/0/jsonp_send":   "OPTIONS, POST",
		"POST /0/0/eventsource":    "GET",
		"POST /0/0/jsonp":          "GET",
		"POST /0/0/htmlfile":       "GET",
		"POST /info":               "OPTIONS, GET",
		"POST /":                   "GET, HEAD",
		"POST /iframe.html":        "GET, HEAD",
		"OPTIONS /0/0/eventsource": "GET",
	} {
		method, path, _ := strings.Cut(request, " ")
		answer := server.do(method, path, "")
		require.Equal(t, http.StatusMethodNotAllowed, answer.status, request)
		require.Equal(t, allow, answer.header.Get("Allow"), request)
		require.NotContains(t, answer.header, "Content-Type", request)
		require.Empty(t, answer.body, request)
	}
}

// TestSockJSSessionPaths: any words but empty ones and ones with dots, of which only the
// session's counts.
func TestSockJSSessionPaths(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{})
	for _, path := range []string{"/a/a", "/_/_", "/1/1", "/abcdefgh_i-j%20/abcdefg_i-j%20"} {
		server.poller(path)
	}
	for _, path := range []string{"//", "/a./a", "/a/a.", "/./.", "/", "///", "/a", "/a/a/a", "/" + strings.Repeat("s", 300) + "/a", "/a/" + strings.Repeat("s", 300)} {
		require.Equal(t, http.StatusNotFound, server.do("GET", path+"/xhr", "").status, path)
		require.Equal(t, http.StatusNotFound, server.do("POST", path+"/xhr", "").status, path)
	}
	for _, path := range []string{"/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "/0/0/xhr/", "/0/0/XHR", "/0/0/", "/info/", "/websocket/", "/0/0/websocket/x"} {
		require.Equal(t, http.StatusNotFound, server.do("GET", path, "").status, path)
	}
	server.poller("/000/session").send(frames.CONNECT, connectHeaders(t)...)
	require.Contains(t, (&poller{t, server, "/999/session"}).next(), "CONNECTED")
}
