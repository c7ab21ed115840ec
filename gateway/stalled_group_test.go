package gateway_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test"
)

// stalledReaders are slowReaders, and those of transports that compress or encode.
func stalledReaders() map[string]func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
	all := map[string]func(t *testing.T, n *test.Node) (*slowLink, io.Reader){
		"WebSocket with deflate": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
			ws := gateway.NewWebSocket(n.Broker, gateway.WebSocketOptions{Compression: true})
			server := httptest.NewServer(ws)
			t.Cleanup(func() {
				require.NoError(t, n.Broker.Shutdown(context.Background()))
				server.Close()
				ws.Wait()
			})
			link := newSlowLink(t, server.Listener.Addr().String())
			c, _, err := (&websocket.Dialer{EnableCompression: true}).Dial("ws://"+link.address, nil)
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte(connectFrame+subscribeFrame)))
			for _, want := range []string{"CONNECTED", "RECEIPT"} {
				_, text, err := c.ReadMessage()
				require.NoError(t, err)
				require.Contains(t, string(text), want)
			}
			return link, &messagesOf{ws: c}
		},
		"SockJS WebSocket": func(t *testing.T, n *test.Node) (*slowLink, io.Reader) {
			server := sockJSOf(t, n, gateway.SockJSOptions{})
			address := server.http.Listener.Addr().String()
			link := newSlowLink(t, address)
			server.url = strings.Replace(server.url, address, link.address, 1)
			s := server.dial("/000/stalled/websocket")
			s.want("o")
			s.connect().subscribe("/topic/slow")
			return link, &messagesOf{ws: s.ws}
		},
	}
	for name, subscribe := range slowReaders {
		all[name] = subscribe
	}
	return all
}

// TestAStalledSubscriberDelaysNoOther over each transport: each message is sent once all
// others have the one before, while one connection takes nothing any more. It is one of a few
// that a reader writes to, one of a group, or one of those that have a goroutine each.
func TestAStalledSubscriberDelaysNoOther(t *testing.T) {
	t.Parallel()
	const subscribers, messages = 20, 120
	random := make([]byte, 24<<10)
	for i := range random {
		random[i] = "0123456789abcdef"[rand.IntN(16)] // what compresses by half
	}
	random[0] = '~' // which is counted at the end
	body := string(random)
	permissions, err := auth.NewPermissions(auth.AllGrants(), "guest")
	require.NoError(t, err)
	guest := &auth.Principal{Name: "guest", Permissions: permissions}
	for name, subscribe := range stalledReaders() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := test.Start(t, test.Options{Broker: slowOptions(time.Hour)})
			link, stalled := subscribe(t, n)
			link.stopped.Store(true)
			all := make([]*test.Client, subscribers)
			for i := range all {
				all[i] = test.DialTCP(t, n).Connect()
				all[i].Subscribe("s", "/topic/slow")
			}
			sender := test.DialTCP(t, n).Connect()
			for i := range messages {
				if i%2 == 0 {
					sender.Send(frames.SEND, "destination", "/topic/slow", body)
				} else { // which has no read that flushes
					_, err := n.Broker.Send(t.Context(), guest, broker.Publication{Destination: "/topic/slow", Body: random})
					require.NoError(t, err)
				}
				for _, c := range all {
					require.Equal(t, frames.MESSAGE, c.Message(body).Command)
				}
			}
			require.EqualValues(t, subscribers+2, n.Broker.Stats().Sessions, n.Log.String())
			require.Positive(t, n.Broker.Stats().Memory["outbox"], "the connection is stalled")
			link.stopped.Store(false)
			got, piece := 0, make([]byte, 64<<10)
			for got < messages {
				k, err := stalled.Read(piece)
				require.NoError(t, err)
				got += bytes.Count(piece[:k], []byte("~"))
			}
		})
	}
}
