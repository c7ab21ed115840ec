// Command memorydriver runs brokers with a backend of its own in place of NATS: a hub
// in memory, for topics and user destinations alone. It shows what the author of a
// backend writes. Two nodes listen; what is sent to one reaches the subscribers of both.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
)

func main() {
	first := flag.String("first", "127.0.0.1:8081", "where the first node's WebSocket is, at /ws")
	second := flag.String("second", "127.0.0.1:8082", "where the second node's is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	hub := NewHub()
	ended := make(chan error, 2)
	for _, listen := range []string{*first, *second} {
		go func() { ended <- serve(ctx, hub, listen) }()
	}
	fmt.Printf("serving ws://%s/ws and ws://%s/ws\n", *first, *second)
	for range 2 {
		if err := <-ended; err != nil {
			log.Fatal(err)
		}
	}
}

// serve runs one node until ctx ends.
func serve(ctx context.Context, hub *Hub, listen string) error {
	node := hub.Join()
	defer node.Close()
	b, err := newBroker(node)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", gateway.NewWebSocket(b, gateway.WebSocketOptions{}))
	server := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		late, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = b.Shutdown(late)
		_ = server.Shutdown(late)
	})
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// newBroker returns a broker over the hub that lets guest/guest do everything.
func newBroker(node *Node) (*broker.Broker, error) {
	hash, err := auth.HashPasscode("guest")
	if err != nil {
		return nil, err
	}
	logins, err := auth.NewLogins([]auth.Login{{Name: "guest", PasscodeHash: hash, Grants: auth.AllGrants()}})
	if err != nil {
		return nil, err
	}
	return broker.New(broker.Options{Authenticator: &auth.Authenticator{Logins: logins}, Driver: node.Driver()})
}
