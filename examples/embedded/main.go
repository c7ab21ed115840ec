// Command embedded is a Go service with the broker inside: it answers requests by
// itself, and has a say in what its users send.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/relay"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where the WebSocket is, at /ws")
	data := flag.String("data-dir", "stompbox-data", "where queues are kept")
	flag.Parse()
	if err := serve(*listen, *data); err != nil {
		log.Fatal(err)
	}
}

func serve(listen, data string) error {
	hash, err := auth.HashPasscode("guest")
	if err != nil {
		return err
	}
	// Tokens, or your own user database: anything that is a broker.Authenticator.
	logins, err := auth.NewLogins([]auth.Login{{Name: "guest", PasscodeHash: hash, Grants: auth.AllGrants()}})
	if err != nil {
		return err
	}
	nats, err := relay.Embed(relay.EmbeddedOptions{DataDir: data}, relay.Options{})
	if err != nil {
		return err
	}
	defer nats.Close()
	b, err := broker.New(broker.Options{
		Authenticator: &auth.Authenticator{Logins: logins}, Driver: nats.Driver(),
		Interceptors: []broker.Interceptor{{Send: politely}},
	})
	if err != nil {
		return err
	}
	if err := b.Handle("/app/go.*", hello(b)); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", gateway.NewWebSocket(b, gateway.WebSocketOptions{}))
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = b.Shutdown(late)
		_ = server.Shutdown(late)
	})
	fmt.Println("serving /app/go.*")
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

// hello answers requests, and writes to the lobby.
func hello(b *broker.Broker) broker.Handler {
	permissions, err := auth.NewPermissions(auth.Grants{Send: []string{"/topic/**"}}, "greeter")
	if err != nil {
		panic(err) // the pattern is ours
	}
	self := &auth.Principal{Name: "greeter", Permissions: permissions}
	return func(ctx context.Context, r broker.Request) (*broker.Reply, error) {
		_, err := b.Send(ctx, self, broker.Publication{Destination: "/topic/chat.lobby", Body: fmt.Appendf(nil, "%s asks: %s", r.User, r.Body)})
		return &broker.Reply{Body: []byte("hello " + r.User)}, err
	}
}

// politely keeps shouting out of the chat.
func politely(next broker.ActionFunc) broker.ActionFunc {
	return func(ctx context.Context, a *broker.Action) error {
		if text := string(a.Body); strings.HasPrefix(a.Destination, "/topic/chat.") && len(text) > 3 && text == strings.ToUpper(text) {
			return broker.Reject("please do not shout")
		}
		return next(ctx, a)
	}
}
