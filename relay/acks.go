package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
)

// ackTimeout is how long the server may take to confirm one write.
const ackTimeout = 10 * time.Second

// acks publish messages to JetStream and wait for its answers.
type acks struct {
	link    *link
	pending pendingReplies[func(error)]
	// confirmed, where not nil, is called with each answer before who waits for it.
	confirmed func(answer []byte)
}

func (a *acks) begin() error { return a.pending.begin(a.link.conn, a.answered) }

// publish writes a message to a stream; done has the stream's answer.
func (a *acks) publish(msg *nats.Msg, done func(error)) {
	var id uint64
	msg.Reply, id = a.pending.expect(done)
	if err := a.link.conn.PublishMsg(msg); err != nil {
		a.settle(id, unreachable(err))
	}
}

// request publishes bytes that JetStream answers; done has the answer.
func (a *acks) request(subject string, body []byte, done func(error)) {
	reply, id := a.pending.expect(done)
	if err := a.link.conn.PublishRequest(subject, reply, body); err != nil {
		a.settle(id, unreachable(err))
	}
}

// answered takes an answer of the server.
func (a *acks) answered(id uint64, msg *nats.Msg) {
	err := ackError(msg)
	if err == nil && a.confirmed != nil {
		a.confirmed(msg.Data)
	}
	a.settle(id, err)
}

// settle calls what waits for the answer, once.
func (a *acks) settle(id uint64, err error) {
	if done, ok := a.pending.take(id); ok {
		done(err)
	}
}

func (a *acks) disconnected() { a.fail(time.Now(), errDisconnected) }

// fail settles all that began before, with an error.
func (a *acks) fail(before time.Time, err error) {
	for _, done := range a.pending.takeOld(before) {
		done(err)
	}
}

// errNoStream says that no stream has a subject.
var errNoStream = fmt.Errorf("%w: no JetStream answers (%w); is it enabled, and is there disk space?", driver.ErrUnavailable, nats.ErrNoResponders)

var goodAck = []byte(`{"stream":`)

// ackError returns what an answer says is wrong, or nil.
func ackError(msg *nats.Msg) error {
	if status := statusOf(msg); status != "" {
		if status == "503" {
			return errNoStream
		}
		return fmt.Errorf("%w: status %s %s", driver.ErrUnavailable, status, msg.Header.Get("Description"))
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
		return driver.ErrQueueFull
	case e.Code == 503:
		return driver.ErrUnavailable
	}
	return nil
}
