// Command nats is an app server that speaks NATS, and knows nothing of STOMP. The
// broker's server listens with nats.listen, or is one that is there already.
package main

import (
	"flag"
	"fmt"
	"log"

	"github.com/nats-io/nats.go"
)

func main() {
	url := flag.String("url", "nats://127.0.0.1:4222", "the NATS server")
	flag.Parse()
	nc, err := nats.Connect(*url, nats.MaxReconnects(-1))
	if err != nil {
		log.Fatalf("cannot connect to %s: %v; is the broker running, with nats.listen?", *url, err)
	}
	// In the queue group stompbox it shares requests, round-robin, with app servers over STOMP.
	_, err = nc.QueueSubscribe("stompbox.app.nats.*", "stompbox", func(request *nats.Msg) {
		user := request.Header.Get("user")
		lobby := nats.NewMsg("stompbox.topic.chat.lobby")
		lobby.Data = fmt.Appendf(nil, "%s asks: %s", user, request.Data)
		if err := nc.PublishMsg(lobby); err != nil {
			log.Print(err)
		}
		if err := request.Respond([]byte("hello " + user)); err != nil {
			log.Print(err)
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("serving /app/nats.*")
	select {}
}
