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
	link      *link
	pending   pendingReplies[pendingAck]
	elections elections
	// confirmed, where not nil, is called with each answer before who waits for it.
	confirmed func(answer []byte)
}

// pendingAck waits for the answer of a stream, or of a consumer, whose leader gives it.
type pendingAck struct {
	from string // the stream, or the subject of the consumer's pull requests
	done func(error)
}

func (a *acks) begin() error {
	if err := a.pending.begin(a.link.conn, a.answered); err != nil {
		return err
	}
	_, err := a.link.conn.Subscribe(streamLeaderElected+"*", a.elections.ofStream)
	return err
}

// publish writes a message to a stream; done has the stream's answer.
func (a *acks) publish(stream string, msg *nats.Msg, done func(error)) {
	var id uint64
	msg.Reply, id = a.pending.expect(pendingAck{stream, done})
	if err := a.link.conn.PublishMsg(msg); err != nil {
		a.settle(id, unreachable(err))
	}
}

// request publishes bytes that a consumer answers; done has the answer.
func (a *acks) request(consumer, subject string, body []byte, done func(error)) {
	reply, id := a.pending.expect(pendingAck{consumer, done})
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
	if waiting, ok := a.pending.take(id); ok {
		waiting.done(err)
	}
}

func (a *acks) disconnected() { a.fail(time.Now(), errDisconnected) }

// fail settles all that began before, with an error.
func (a *acks) fail(before time.Time, err error) {
	for _, waiting := range a.pending.takeOld(before) {
		waiting.done(err)
	}
}

// failUnled settles what a leader was asked for that has a successor since.
func (a *acks) failUnled(now time.Time) {
	due := a.elections.due(now)
	if len(due) == 0 {
		return
	}
	lost := a.pending.takeIf(func(waiting pendingAck, since time.Time) bool {
		at, elected := due[waiting.from]
		return elected && since.Before(at)
	})
	for _, waiting := range lost {
		waiting.done(errNewLeader)
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
