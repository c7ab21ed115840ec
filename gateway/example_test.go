package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/relay"
)

// A broker mounted in the mux of a service, next to its other handlers.
func ExampleNewWebSocket() {
	dir, _ := os.MkdirTemp("", "stompbox")
	defer os.RemoveAll(dir)
	hash, _ := auth.HashPasscode("s3cret")
	logins, _ := auth.NewLogins([]auth.Login{{Name: "app", PasscodeHash: hash, Grants: auth.AllGrants()}})

	nats, err := relay.Embed(relay.EmbeddedOptions{DataDir: dir}, relay.Options{})
	if err != nil {
		panic(err)
	}
	defer nats.Close()
	b, err := broker.New(broker.Options{Authenticator: &auth.Authenticator{Logins: logins}, Driver: nats.Driver()})
	if err != nil {
		panic(err)
	}
	defer func() { _ = b.Shutdown(context.Background()) }()
	mux := http.NewServeMux()
	mux.Handle("/ws", gateway.NewWebSocket(b, gateway.WebSocketOptions{}))

	server := httptest.NewServer(mux)
	defer server.Close()
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/ws", nil)
	if err != nil {
		panic(err)
	}
	defer ws.Close()
	connect := frames.New(frames.CONNECT, "accept-version", "1.2", "login", "app", "passcode", "s3cret")
	_ = ws.WriteMessage(websocket.TextMessage, frames.Append(nil, connect, frames.V12))
	_, answer, _ := ws.ReadMessage()
	fmt.Println(strings.SplitN(string(answer), "\n", 3)[:2])
	// Output: [CONNECTED version:1.2]
}
