package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/relay"
)

// start runs a broker for an example.
func start(o broker.Options) (b *broker.Broker, stop func()) {
	dir, err := os.MkdirTemp("", "stompbox")
	if err != nil {
		panic(err)
	}
	nats, err := relay.Embed(relay.EmbeddedOptions{DataDir: dir}, relay.Options{})
	if err != nil {
		panic(err)
	}
	o.Authenticator, o.Driver = new(auth.Authenticator), nats.Driver() // which lets no client in
	if b, err = broker.New(o); err != nil {
		panic(err)
	}
	return b, func() {
		_ = b.Shutdown(context.Background())
		nats.Close()
		_ = os.RemoveAll(dir)
	}
}

// principal is a user who may send to some destinations.
func principal(name string, send ...string) *auth.Principal {
	permissions, err := auth.NewPermissions(auth.Grants{Send: send}, name)
	if err != nil {
		panic(err)
	}
	return &auth.Principal{Name: name, Permissions: permissions}
}

// An interceptor rejects what is rude. What it lets through still needs permission.
func ExampleInterceptor() {
	polite := broker.Interceptor{Send: func(next broker.ActionFunc) broker.ActionFunc {
		return func(ctx context.Context, a *broker.Action) error {
			if bytes.Contains(a.Body, []byte("stupid")) {
				return broker.Reject("mind your language")
			}
			return next(ctx, a)
		}
	}}
	b, stop := start(broker.Options{Interceptors: []broker.Interceptor{polite}})
	defer stop()

	alice := principal("alice", "/topic/chat.*")
	for _, m := range []broker.Publication{
		{Destination: "/topic/chat.lobby", Body: []byte("hello")},
		{Destination: "/topic/chat.lobby", Body: []byte("stupid")},
		{Destination: "/topic/news", Body: []byte("hello")},
	} {
		_, err := b.Send(context.Background(), alice, m)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// message 0: mind your language
	// message 0: destination "/topic/news": no send permission for it
}

// A handler answers requests of all nodes.
func ExampleBroker_Handle() {
	b, stop := start(broker.Options{})
	defer stop()
	err := b.Handle("/app/greet.*", func(_ context.Context, r broker.Request) (*broker.Reply, error) {
		fmt.Println(r.Destination, "from", r.User)
		return &broker.Reply{Body: []byte("hello " + r.User)}, nil
	})
	if err != nil {
		panic(err)
	}
	_, err = b.Send(context.Background(), principal("alice", "/app/**"), broker.Publication{Destination: "/app/greet.me"})
	if err != nil {
		panic(err)
	}
	// Output: /app/greet.me from alice
}
