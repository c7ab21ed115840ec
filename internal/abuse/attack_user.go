package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// open connects the hostile user, over TCP.
func (t *target) open(ctx context.Context) (*link, error) {
	l, err := t.dialTCP(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.connect(t.Token); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// flood sends what next returns as fast as it is taken, and reads what comes back.
func (t *target) flood(ctx context.Context, next func(l *link, i int) error) error {
	return t.pour(ctx, true, next)
}

func (t *target) pour(ctx context.Context, reads bool, next func(l *link, i int) error) error {
	l, err := t.open(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	defer l.close()
	if reads {
		go func() {
			for {
				if _, err := l.next(); err != nil {
					return
				}
			}
		}()
	}
	for i := 0; ctx.Err() == nil; i++ {
		if err := next(l, i); err != nil {
			return err
		}
	}
	return nil
}

// endlessBatch sends a batch of millions of messages.
func endlessBatch(ctx context.Context, t *target, _ int) error {
	body := io.MultiReader(strings.NewReader("["), &endless{text: []byte(strings.Repeat("{},", 1000)), left: 5000}, strings.NewReader("{}]"))
	return t.post(ctx, "http://"+t.HTTP+"/api/send", t.Token, body)
}

// refusedBodies sends bodies that are as large as may be, and are wrong only at their end.
func refusedBodies(ctx context.Context, t *target, worker int) error {
	const size = 15 << 20
	long := strings.Repeat("x", size/999)
	body := []string{
		`{"destination":"/topic/a","body":"` + strings.Repeat("x", size) + `"}`,
		`{"destination":"/topic/a","headers":{` + strings.Repeat(`"a":"",`, size/7) + `"a":""}}`,
		`{"messages":[` + strings.Repeat(`{"destination":"/topic/a","body":"`+long+`"},`, 999) + `{}]}`,
		`{"destination":"/topic/a","body":[` + strings.Repeat(`{},`, size/3) + `{}]}`,
	}[worker%4]
	return t.post(ctx, "http://"+t.HTTP+"/api/send", t.Token, strings.NewReader(body))
}

// sockJSArrays posts arrays of millions of messages without a letter to its sessions.
func sockJSArrays(ctx context.Context, t *target, worker int) error {
	session := fmt.Sprintf("http://%s/sockjs/000/%d-%d", t.HTTP, worker, rand.Uint32())
	connect, err := json.Marshal([]string{"CONNECT\naccept-version:1.2\nAuthorization:Bearer " + t.Token + "\n\n\x00"})
	if err != nil {
		return err
	}
	err = errors.Join(t.post(ctx, session+"/xhr", "", strings.NewReader("")),
		t.post(ctx, session+"/xhr_send", "", bytes.NewReader(connect)),
		t.post(ctx, session+"/xhr", "", strings.NewReader("")))
	body := "[" + strings.Repeat(`"",`, 5<<20) + `""]`
	for i := 0; i < 20 && err == nil; i++ { // the session ends meanwhile, as nothing asks for its messages
		err = t.post(ctx, session+"/xhr_send", "", strings.NewReader(body))
	}
	return err
}

// lists asks for lists without a pause.
func lists(ctx context.Context, t *target, worker int) error {
	path := []string{"/api/users", "/api/destinations", "/api/queues", "/api/presence?destination=/topic/watched.a"}[worker%4]
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.HTTP+path, nil)
		if err != nil {
			return err
		}
		if err := t.authorized(r, t.Token); err != nil {
			return err
		}
	}
	return nil
}

// deflate sends bodies that are small only as long as they are compressed.
func deflate(ctx context.Context, t *target, _ int) error {
	l, err := t.dialWebSocket(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.connect(t.Token); err != nil {
		return err
	}
	l.ws.EnableWriteCompression(true)
	for ctx.Err() == nil {
		if err := l.send(frames.SEND, "destination", "/topic/bomb", strings.Repeat("x", 32<<20)); err != nil {
			return err
		}
	}
	return nil
}

// patterns subscribes to patterns that match in many ways, and publishes to them.
func patterns(ctx context.Context, t *target, worker int) error {
	return t.flood(ctx, func(l *link, i int) error {
		if i < 990 {
			words := make([]string, 7)
			for w := range words {
				words[w] = []string{"*", "a"}[(i>>w)&1]
			}
			return l.send(frames.SUBSCRIBE, "id", strconv.Itoa(i), "destination", fmt.Sprintf("/topic/%s.%d.**", strings.Join(words, "."), worker))
		}
		return l.send(frames.SEND, "destination", "/topic/"+strings.Repeat("a.", 200)+"a", "x")
	})
}

// subscriptions subscribes and unsubscribes.
func subscriptions(ctx context.Context, t *target, worker int) error {
	return t.flood(ctx, func(l *link, i int) error {
		id := strconv.Itoa(i)
		if err := l.send(frames.SUBSCRIBE, "id", id, "destination", fmt.Sprintf("/topic/churn.%d.%d", worker, i)); err != nil {
			return err
		}
		return l.send(frames.UNSUBSCRIBE, "id", id)
	})
}

// presence joins and leaves a topic whose presence is published.
func presence(ctx context.Context, t *target, worker int) error {
	return t.flood(ctx, func(l *link, i int) error {
		id := strconv.Itoa(i)
		if worker == 0 && i == 0 {
			return l.send(frames.SUBSCRIBE, "id", "watch", "destination", "/topic/$presence/watched.a")
		}
		if err := l.send(frames.SUBSCRIBE, "id", id, "destination", "/topic/watched.a"); err != nil {
			return err
		}
		return l.send(frames.UNSUBSCRIBE, "id", id)
	})
}

// waitingRequests asks an app server of its own that never answers.
func waitingRequests(ctx context.Context, t *target, worker int) error {
	body := strings.Repeat("x", 64<<10)
	return t.flood(ctx, func(l *link, i int) error {
		if worker == 0 && i == 0 {
			return l.send(frames.SUBSCRIBE, "id", "0", "destination", "/app/mallory.**", "ack", "client-individual", "prefetch-count", "1")
		}
		return l.send(frames.SEND, "destination", "/app/mallory.work", "correlation-id", strconv.Itoa(i), body)
	})
}

// transientQueues fills queues that are kept in memory, behind a consumer that takes one.
func transientQueues(ctx context.Context, t *target, worker int) error {
	body := strings.Repeat("x", 64<<10)
	return t.flood(ctx, func(l *link, i int) error {
		queue := fmt.Sprintf("/queue/replies-user%08x", worker)
		if i == 0 {
			return l.send(frames.SUBSCRIBE, "id", "0", "destination", queue, "auto-delete", "true", "exclusive", "true", "ack", "client-individual", "prefetch-count", "1")
		}
		return l.send(frames.SEND, "destination", queue, "auto-delete", "true", "persistent", "false", body)
	})
}

// replays has much of the past collected at a time.
func replays(ctx context.Context, t *target, worker int) error {
	body := strings.Repeat("x", 32<<10)
	return t.flood(ctx, func(l *link, i int) error {
		if worker == 0 && i < 1000 {
			return l.send(frames.SEND, "destination", "/topic/kept.a", body)
		}
		id := strconv.Itoa(i)
		if err := l.send(frames.SUBSCRIBE, "id", id, "destination", "/topic/kept.a", "replay-last", "1000"); err != nil {
			return err
		}
		sleep(ctx, 5*time.Millisecond)
		return l.send(frames.UNSUBSCRIBE, "id", id)
	})
}

// unacknowledged subscribes to topics with acknowledgements and gives none.
func unacknowledged(ctx context.Context, t *target, _ int) error {
	return t.flood(ctx, func(l *link, i int) error {
		if i < 100 {
			return l.send(frames.SUBSCRIBE, "id", strconv.Itoa(i), "destination", "/topic/unacked", "ack", "client-individual")
		}
		return l.send(frames.SEND, "destination", "/topic/unacked", "x")
	})
}

// dedupIDs uses long ids, each once.
func dedupIDs(ctx context.Context, t *target, worker int) error {
	return t.flood(ctx, func(l *link, i int) error {
		return l.send(frames.SEND, "destination", fmt.Sprintf("/queue/dedup.%d", worker), "expires", "1",
			"dedup-id", fmt.Sprint(worker, i)+strings.Repeat("d", 8000), "x")
	})
}

// transactions opens all that there may be, and fills them.
func transactions(ctx context.Context, t *target, _ int) error {
	body := strings.Repeat("x", 64<<10)
	return t.flood(ctx, func(l *link, i int) error {
		if i < 16 {
			return l.send(frames.BEGIN, "transaction", strconv.Itoa(i))
		}
		return l.send(frames.SEND, "destination", "/topic/tx", "transaction", strconv.Itoa(i%16), body)
	})
}

// unreadReceipts asks for receipts and reads none.
func unreadReceipts(ctx context.Context, t *target, _ int) error {
	return t.pour(ctx, false, func(l *link, i int) error {
		return l.send(frames.SEND, "destination", "/topic/none", "receipt", strconv.Itoa(i)+strings.Repeat("r", 4000), "x")
	})
}

// slowReaders subscribes, has much sent, and reads nothing.
func slowReaders(ctx context.Context, t *target, worker int) error {
	body := strings.Repeat("x", 256<<10)
	return t.pour(ctx, worker%10 == 0, func(l *link, i int) error {
		switch {
		case i == 0 && worker%10 != 0:
			if err := l.send(frames.SUBSCRIBE, "id", "0", "destination", "/topic/slow"); err != nil {
				return err
			}
			sleep(ctx, 2*time.Second)
			return nil
		case worker%10 == 0:
			sleep(ctx, 20*time.Millisecond)
			return l.send(frames.SEND, "destination", "/topic/slow", body)
		}
		sleep(ctx, time.Second)
		return nil
	})
}

// backlogs has connections that read nothing, each with messages of its own.
func backlogs(ctx context.Context, t *target, worker int) error {
	body := strings.Repeat("x", 256<<10)
	own := func(worker int) string { return fmt.Sprintf("/topic/own.%d", worker) }
	sends := worker%8 == 0
	return t.pour(ctx, sends, func(l *link, i int) error {
		switch {
		case sends:
			return l.send(frames.SEND, "destination", own(worker+1+i%7), body)
		case i == 0:
			return l.send(frames.SUBSCRIBE, "id", "0", "destination", own(worker))
		}
		sleep(ctx, time.Second)
		return nil
	})
}

// controlHeaders sends headers that mean something to NATS and JetStream.
func controlHeaders(ctx context.Context, t *target, _ int) error {
	return t.flood(ctx, func(l *link, i int) error {
		destination := []string{"/topic/rooms.0x", "/topic/kept.b", "/queue/control"}[i%3]
		return l.send(frames.SEND, "destination", destination, "Nats-Stream", "stompbox_history_kept", "Nats-Sequence", strconv.Itoa(1<<40),
			"Status", "503", "Nats-Msg-Id", "1", "Nats-Batch-Id", "b", "stompbox-encoded:user", "adm%69n", "expires", "1", "x")
	})
}

// longNames uses names that become too long as subjects.
func longNames(ctx context.Context, t *target, _ int) error {
	return t.flood(ctx, func(l *link, _ int) error {
		name := "/topic/" + strings.Repeat([]string{"%", ".", "é", " "}[rand.IntN(4)], 200+rand.IntN(300))
		return l.send([]string{frames.SEND, frames.SUBSCRIBE}[rand.IntN(2)], "id", "0", "destination", name, "x")
	})
}

// eventStreams opens streams of events with long lists of ids, and closes them.
func eventStreams(ctx context.Context, t *target, worker int) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/events?destination=/topic/kept.%d&destination=/topic/**", t.HTTP, worker), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Last-Event-ID", strings.Repeat("a-1,", 1000))
	return t.authorized(r, t.Token)
}
