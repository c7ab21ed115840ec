package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

const goAway = `c[3000,"Go away!"]`

var prelude = strings.Repeat("h", 2048) + "\n"

func TestSockJSPolling(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{AllowedOrigins: []string{"https://app.example"}})
	answer := server.do("POST", "/000/a/xhr", "", "Origin", "https://app.example")
	require.Equal(t, http.StatusOK, answer.status)
	require.Equal(t, "o\n", answer.body)
	require.Equal(t, "application/javascript; charset=UTF-8", answer.header.Get("Content-Type"))
	require.Equal(t, notCached, answer.header.Get("Cache-Control"))
	require.Equal(t, "https://app.example", answer.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "nosniff", answer.header.Get("X-Content-Type-Options"))
	require.NotContains(t, answer.header, "Expires")

	answer = server.do("POST", "/000/a/xhr_send", sockJSMessage(t, frames.CONNECT, connectHeaders(t)...), "Origin", "https://app.example")
	require.Equal(t, http.StatusNoContent, answer.status)
	require.Empty(t, answer.body)
	require.Equal(t, "text/plain; charset=UTF-8", answer.header.Get("Content-Type"))
	require.Equal(t, notCached, answer.header.Get("Cache-Control"))
	require.Equal(t, "https://app.example", answer.header.Get("Access-Control-Allow-Origin"))
	p := &poller{t, server, "/000/a"}
	require.Regexp(t, `^a\["CONNECTED\\n.*\\u0000"\]\n$`, p.next())

	p.send(frames.SUBSCRIBE, "id", "s", "destination", "/topic/a", "receipt", "r")
	require.Contains(t, p.next(), "receipt-id:r")
	// A frame may come in parts, several at once, or none at all.
	parts := []string{"[]", `["SEND\ndestination:/topic/a\n\n1","2\u0000SEND\ndestination:/topic/a\n\n3"]`, `["4\u0000"]`}
	for _, part := range parts {
		require.Equal(t, http.StatusNoContent, server.do("POST", p.path+"/xhr_send", part).status)
	}
	body := p.next()
	for !strings.Contains(body, `\n\n34\u0000`) {
		body += p.next()
	}
	require.Contains(t, body, `\n\n12\u0000`)
}

// TestSockJSSessionTellsItsEnd: to each request until it is forgotten.
func TestSockJSSessionTellsItsEnd(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{DisconnectDelay: test.Patience})
	p := server.poller("/000/a").connect()
	p.send(frames.DISCONNECT, "receipt", "bye")
	require.Contains(t, p.next(), "receipt-id:bye")
	for range 2 {
		require.Equal(t, goAway+"\n", p.poll())
	}
	require.Equal(t, prelude+goAway+"\n", server.do("POST", p.path+"/xhr_streaming", "").body)
	require.Equal(t, "\r\ndata: "+goAway+"\r\n\r\n", server.do("GET", p.path+"/eventsource", "").body)
	require.Equal(t, `/**/x("c[3000,\"Go away!\"]");`+"\r\n", server.do("GET", p.path+"/jsonp?c=x", "").body)
	p.send(frames.SEND, "destination", "/topic/a", "too late")
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 0 }, test.Patience, time.Millisecond)

	wrong := server.poller("/000/b").connect()
	waiting := server.stream("POST", "/000/b/xhr_streaming", prelude)
	wrong.send(frames.SEND, "destination", "nowhere")
	text := waiting.rest()
	require.Contains(t, text, "ERROR")
	require.True(t, strings.HasSuffix(text, goAway+"\n"), text)
	require.Equal(t, goAway+"\n", wrong.poll())
}

// TestSockJSTakesOneReceiver: a second one is refused, and the first goes on.
func TestSockJSTakesOneReceiver(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{})
	first := server.stream("POST", "/000/a/xhr_streaming", prelude)
	first.want("o\n")
	twice := `c[2010,"Another connection still open"]`
	require.Equal(t, prelude+twice+"\n", server.do("POST", "/000/a/xhr_streaming", "").body)
	require.Equal(t, twice+"\n", server.do("POST", "/111/a/xhr", "").body)
	(&poller{t, server, "/000/a"}).send(frames.CONNECT, connectHeaders(t)...)
	first.want(`a["CONNECTED`)
}

// TestSockJSAnswerThatBreaksOffEndsTheSession: what it carried may be lost.
func TestSockJSAnswerThatBreaksOffEndsTheSession(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{DisconnectDelay: test.Patience})
	for _, path := range []string{"/000/a", "/000/b"} {
		p := server.poller(path).connect()
		stream := server.stream("POST", path+"/xhr_streaming", prelude)
		require.NoError(t, stream.answer.Body.Close())
		require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 0 }, test.Patience, time.Millisecond)
		require.Equal(t, `c[1002,"Connection interrupted"]`+"\n", p.poll())
	}
}

// TestSockJSPollsFollowAtOnce: the answer to one is complete before the next comes.
func TestSockJSPollsFollowAtOnce(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{})
	p := server.poller("/000/a").connect().subscribe("/topic/a")
	for range 300 {
		p.send(frames.SEND, "destination", "/topic/a", "x")
		require.Contains(t, p.next(), "MESSAGE")
	}
}

func TestSockJSStreams(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{ResponseLimit: 4096})
	page := `<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.callback;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>`
	for id, c := range map[string]struct {
		method, path, contentType, prelude, begin, end, quote string
	}{
		"a": {"POST", "xhr_streaming", "application/javascript; charset=UTF-8", prelude, "", "\n", `"`},
		"b": {"GET", "eventsource", "text/event-stream", "\r\n", "data: ", "\r\n\r\n", `"`},
		"c": {"GET", "htmlfile?c=%63allback", "text/html; charset=UTF-8", page, "<script>\np(\"", "\");\n</script>\r\n", `\"`},
	} {
		stream := server.stream(c.method, "/000/"+id+"/"+c.path, c.prelude)
		require.Equal(t, c.contentType, stream.answer.Header.Get("Content-Type"))
		require.Equal(t, notCached, stream.answer.Header.Get("Cache-Control"))
		require.Equal(t, "no", stream.answer.Header.Get("X-Accel-Buffering"), "nginx is not to hold it back")
		if id == "c" {
			size := len(c.prelude)
			for {
				next, err := stream.reader.ReadByte()
				require.NoError(t, err)
				if size++; next != ' ' && next != '\r' && next != '\n' {
					require.NoError(t, stream.reader.UnreadByte())
					break
				}
			}
			require.Greater(t, size, 1024, "browsers wait for so much")
		}
		stream.want(c.begin + "o" + c.end)
		p := &poller{t, server, "/000/" + id}
		p.send(frames.CONNECT, connectHeaders(t)...)
		stream.want(c.begin + "a[" + c.quote + "CONNECTED")
		_, err := stream.reader.ReadString(']')
		require.NoError(t, err)
		stream.want(c.end)
		p.send(frames.SUBSCRIBE, "id", "s", "destination", "/topic/"+id)
		for range 31 {
			p.send(frames.SEND, "destination", "/topic/"+id, strings.Repeat("x", 128))
		}
		text := stream.rest()
		require.Greater(t, len(text), 3000, "the answer ends after its limit, and browsers forget it")
		require.Less(t, len(text), 12000)
		require.True(t, strings.HasSuffix(text, "]"+c.end), text)
		// The session goes on.
		p.send(frames.SEND, "destination", "/topic/"+id, "the last")
		for text = ""; !strings.Contains(text, "the last"); {
			text = p.next()
		}
	}
}

func TestSockJSJSONP(t *testing.T) {
	t.Parallel()
	server := sockJSOf(t, test.Start(t, test.Options{}), gateway.SockJSOptions{})
	answer := server.do("GET", "/000/a/jsonp?c=%63all-b.ac_k", "")
	require.Equal(t, "/**/call-b.ac_k(\"o\");\r\n", answer.body)
	require.Equal(t, "application/javascript; charset=UTF-8", answer.header.Get("Content-Type"))
	require.Equal(t, notCached, answer.header.Get("Cache-Control"))
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for body, says := range map[string]string{"d=%5B%22x": "Broken JSON encoding.", "": "Payload expected.", "d=": "Payload expected.", "p=p": "Payload expected."} {
		answer = server.do("POST", "/000/a/jsonp_send", body, form...)
		require.Equal(t, http.StatusInternalServerError, answer.status)
		require.Contains(t, answer.body, says)
	}
	answer = server.do("POST", "/000/a/jsonp_send", "d=%5B%5D", form...)
	require.Equal(t, "ok", answer.body)
	require.Equal(t, http.StatusOK, answer.status)
	require.Equal(t, "text/plain; charset=UTF-8", answer.header.Get("Content-Type"))
	require.Equal(t, notCached, answer.header.Get("Cache-Control"))
	connect := "d=" + strings.NewReplacer("%", "%25", "+", "%2B", "&", "%26").Replace(sockJSMessage(t, frames.CONNECT, connectHeaders(t)...))
	require.Equal(t, "ok", server.do("POST", "/000/a/jsonp_send", connect, form...).body)
	require.Regexp(t, `^/\*\*/x\("a\[\\"CONNECTED\\\\n.*\]"\);\r\n$`, server.do("GET", "/000/a/jsonp?c=x", "").body)
	require.Equal(t, "ok", server.do("POST", "/000/a/jsonp_send", sockJSMessage(t, frames.SUBSCRIBE, "id", "s", "destination", "/topic/a", "receipt", "r"), "Content-Type", "text/plain").body)
	require.Contains(t, server.do("GET", "/000/a/jsonp?c=x", "").body, "receipt-id:r")
	// Nothing that a peer sends ends the script.
	require.Equal(t, "ok", server.do("POST", "/000/a/jsonp_send", sockJSMessage(t, frames.SEND, "destination", "/topic/a", `</script>"\`), "Content-Type", "text/plain").body)
	require.Contains(t, server.do("GET", "/000/a/jsonp?c=x", "").body, `\\n\\n\u003c/script\u003e\\\"\\\\\\u0000\"]");`)

	for _, path := range []string{"/a/a/jsonp", "/a/a/htmlfile"} {
		answer = server.do("GET", path, "")
		require.Equal(t, http.StatusInternalServerError, answer.status)
		require.Contains(t, answer.body, `"callback" parameter required`)
		for _, callback := range []string{"%20", "*", "abc(", "abc%28", "%3Cscript%3E", "a%0Ab", strings.Repeat("a", 300), "%zz"} {
			answer = server.do("GET", path+"?c="+callback, "")
			require.Equal(t, http.StatusInternalServerError, answer.status)
			require.Contains(t, answer.body, `invalid "callback" parameter`)
		}
	}
	require.Zero(t, server.handler.Stats().Sessions-1, "what is refused opens no session")
}

func TestSockJSHeartBeats(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server := sockJSOf(t, n, gateway.SockJSOptions{HeartBeat: 20 * time.Millisecond})
	p := server.poller("/000/a")
	require.Equal(t, "h\n", p.poll())
	stream := server.stream("POST", "/000/b/xhr_streaming", prelude)
	stream.want("o\nh\nh\n")
	events := server.stream("GET", "/000/c/eventsource", "\r\n")
	events.want("data: o\r\n\r\ndata: h\r\n\r\n")
	ws := server.dial("/000/d/websocket")
	ws.want("o")
	ws.want("h")
	ws.want("h")
}

// TestSockJSStreamsHaveNoDeadline: neither the server's nor one of a write ends a stream
// that is silent for longer.
func TestSockJSStreamsHaveNoDeadline(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{WriteTimeout: time.Second}}})
	for _, http2 := range []bool{false, true} {
		server := startSockJS(t, n, gateway.SockJSOptions{HeartBeat: 1500 * time.Millisecond}, func(s *httptest.Server) {
			s.EnableHTTP2 = http2
			s.Config.ReadTimeout, s.Config.WriteTimeout = time.Second, time.Second
			s.StartTLS()
		})
		stream := server.stream("POST", "/000/a/xhr_streaming", prelude)
		require.Equal(t, http2, stream.answer.ProtoMajor == 2)
		stream.want("o\nh\nh\n")
		p := &poller{t, server, "/000/a"}
		p.send(frames.CONNECT, connectHeaders(t)...)
		stream.want(`a["CONNECTED`)
	}
}

// TestAStalledStreamHoldsUpNoOther: its write ends, and the sessions of others are looked
// after meanwhile.
func TestAStalledStreamHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{HeartBeat: broker.HeartBeat{Send: 20 * time.Millisecond}}})
	server := sockJSOf(t, n, gateway.SockJSOptions{ResponseLimit: 1 << 30})
	p := server.poller("/000/a").connect().subscribe("/topic/a")
	server.stream("POST", p.path+"/xhr_streaming", prelude) // which nothing reads
	sender := test.Dial(t, n).Connect()
	for n.Broker.Stats().Errors[broker.CodeSlowConsumer] == 0 {
		sender.Send(frames.SEND, "destination", "/topic/a", "receipt", "r", strings.Repeat("x", 256<<10))
		sender.Receipt("r")
	}
	require.Eventually(t, func() bool { return n.Broker.Stats().Sessions == 1 }, test.Patience, 10*time.Millisecond, "the sender is left")
	other, err := net.Dial("tcp", n.TCP)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.SetDeadline(time.Now().Add(test.Patience)))
	_, err = io.WriteString(other, "CONNECT\naccept-version:1.2\nheart-beat:0,20\nlogin:guest\npasscode:guest\n\n\x00")
	require.NoError(t, err)
	reader := bufio.NewReader(other)
	_, err = reader.ReadString(0)
	require.NoError(t, err)
	for range 3 {
		b, err := reader.ReadByte()
		require.NoError(t, err)
		require.Equal(t, byte('\n'), b, "a heart-beat")
	}
}
