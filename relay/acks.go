package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker"
)

// ackTimeout is how long the server may take to confirm one write.
const ackTimeout = 10 * time.Second

// acks matches the answers of the server to what waits for them. All answers
// arrive on one inbox, so that hundreds of writes can be under way at the cost
// of a map entry each.
type acks struct {
	inbox string // with a dot at its end

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]waitingAck
}

type waitingAck struct {
	done  func(error)
	since time.Time
}

// expect returns the reply subject for a message whose answer done waits for.
func (a *acks) expect(done func(error)) (reply string, id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id = a.next
	a.next++
	a.waiting[id] = waitingAck{done, time.Now()}
	return a.inbox + strconv.FormatUint(id, 36), id
}

// settle calls what waits for the answer, once.
func (a *acks) settle(id uint64, err error) {
	a.mu.Lock()
	w, ok := a.waiting[id]
	delete(a.waiting, id)
	a.mu.Unlock()
	if ok {
		w.done(err)
	}
}

// answered takes an answer of the server.
func (a *acks) answered(msg *nats.Msg) {
	id, err := strconv.ParseUint(strings.TrimPrefix(msg.Subject, a.inbox), 36, 64)
	if err != nil {
		return
	}
	a.settle(id, ackError(msg))
}

// fail settles all that began before, with an error.
func (a *acks) fail(before time.Time, err error) {
	a.mu.Lock()
	var late []uint64
	for id, w := range a.waiting {
		if w.since.Before(before) {
			late = append(late, id)
		}
	}
	a.mu.Unlock()
	for _, id := range late {
		a.settle(id, err)
	}
}

var goodAck = []byte(`{"stream":`)

// ackError returns what an answer says is wrong, or nil.
func ackError(msg *nats.Msg) error {
	if status := msg.Header.Get("Status"); status != "" {
		if status == "503" {
			return fmt.Errorf("%w: no JetStream answers; is it enabled, and is there disk space?", broker.ErrUnavailable)
		}
		return fmt.Errorf("%w: status %s %s", broker.ErrUnavailable, status, msg.Header.Get("Description"))
	}
	if len(msg.Data) == 0 || bytes.HasPrefix(msg.Data, goodAck) {
		return nil
	}
	var answer struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return fmt.Errorf("relay: an answer of the server cannot be read: %w", err)
	}
	if answer.Error == nil {
		return nil
	}
	return answer.Error
}

// apiError is how JetStream says what is wrong.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

const (
	errCodeBatchDuplicate = 10201
	errCodeResources      = 10023 // insufficient resources
	errCodeStorage        = 10047 // insufficient storage
	errCodeMemory         = 10028
)

func (e *apiError) Error() string {
	return fmt.Sprintf("JetStream: %s (%d)", e.Description, e.ErrCode)
}

// Unwrap tells a full queue from a server that cannot serve now.
func (e *apiError) Unwrap() error {
	switch {
	case strings.HasPrefix(e.Description, "maximum messages"), strings.HasPrefix(e.Description, "maximum bytes"), e.ErrCode == errCodeStorage, e.ErrCode == errCodeMemory, e.ErrCode == errCodeResources:
		return broker.ErrQueueFull
	case e.Code == 503:
		return broker.ErrUnavailable
	}
	return nil
}
