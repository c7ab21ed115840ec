// Command dashboard shows live prices over server-sent events: it publishes made-up
// prices over STOMP, and serves the page that reads them.
//
//	go run ./cmd/stompbox serve --dev --stomp 127.0.0.1:61613 -c examples/dashboard/stompbox.yaml
//	go run ./examples/dashboard
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/go-stomp/stomp/v3"
)

//go:embed index.html
var page []byte

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "where the page is")
	broker := flag.String("stomp", "127.0.0.1:61613", "the broker's STOMP over TCP")
	events := flag.String("http", "http://127.0.0.1:8080", "the broker's HTTP")
	rate := flag.Int("rate", 200, "prices a second")
	flag.Parse()

	conn, err := stomp.Dial("tcp", *broker, stomp.ConnOpt.Login("guest", "guest"))
	if err != nil {
		log.Fatalf("cannot connect to the broker: %v; is it running, with --stomp %s?", err, *broker)
	}
	go func() { log.Fatal(publish(conn, *rate)) }()
	fmt.Printf("\n  Dashboard   http://%s/\n\n", *listen)
	http.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	// Where the events are, and a token for them. A real one is signed here, for
	// a user who has logged in; the broker's development mode gives one to every caller.
	http.HandleFunc("GET /events-url", func(w http.ResponseWriter, r *http.Request) {
		token, err := devToken(r.Context(), *events)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		query := url.Values{"destination": {"/topic/prices.*"}, "access_token": {token}}
		_, _ = io.WriteString(w, *events+"/events?"+query.Encode())
	})
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func devToken(ctx context.Context, broker string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, broker+"/dev/token?user=viewer", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	token, err := io.ReadAll(answer.Body)
	return string(token), err
}

// publish has the prices walk, until the broker goes away.
func publish(conn *stomp.Conn, rate int) error {
	prices := map[string]float64{"ACME": 120, "BOLT": 45, "CORK": 310, "DUSK": 8, "ELMS": 77, "FERN": 64}
	symbols := []string{"ACME", "BOLT", "CORK", "DUSK", "ELMS", "FERN"}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for range tick.C {
		symbol := symbols[rand.IntN(len(symbols))]
		prices[symbol] *= 1 + rand.NormFloat64()/1000
		body := fmt.Appendf(nil, `{"symbol":%q,"price":%.2f}`, symbol, prices[symbol])
		if err := conn.Send("/topic/prices."+symbol, "application/json", body); err != nil {
			return fmt.Errorf("the broker went away: %w", err)
		}
	}
	return nil
}
