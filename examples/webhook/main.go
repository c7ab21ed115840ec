// Command webhook is an app server that has no connection to the broker: requests are
// posted to it. examples/stompbox.yaml says where.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const secret = "a secret that everybody knows, of the example"

func main() {
	listen := flag.String("listen", "127.0.0.1:8091", "where requests are posted to")
	flag.Parse()
	http.HandleFunc("POST /", answer)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("serving /app/webhook.*")
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}

// message is one that the answer has sent.
type message struct {
	Destination string `json:"destination,omitempty"`
	Body        string `json:"body"`
}

func answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err == nil {
		err = verify(r.Header, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var request struct{ User, Body string }
	if err := json.Unmarshal(body, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"reply":    message{Body: "hello " + request.User},
		"messages": []message{{"/topic/chat.lobby", request.User + " asks: " + request.Body}},
	})
}

// verify checks the signature, which any library for Standard Webhooks does too.
func verify(h http.Header, body []byte) error {
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return errors.New("webhook-timestamp is missing, or long ago")
	}
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%d.%s", h.Get("webhook-id"), at, body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, signature := range strings.Fields(h.Get("webhook-signature")) { // two while the secret changes
		if hmac.Equal([]byte(signature), want) {
			return nil
		}
	}
	return errors.New("webhook-signature is wrong")
}
