package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// pageMessages and pageBytes bound one request for stored messages.
	pageMessages = 256
	pageBytes    = 1 << 20
	// pageTimeout is how long an answer may take.
	pageTimeout = 5 * time.Second
)

type storedMessage struct {
	msg    *nats.Msg
	seq    uint64
	stored time.Time // of one that the leader was asked for
}

// pageRequest is JetStream's request for stored messages.
type pageRequest struct {
	Seq      uint64     `json:"seq,omitempty"`
	Since    *time.Time `json:"start_time,omitempty"`
	Subject  string     `json:"next_by_subj,omitempty"`
	Batch    int        `json:"batch,omitempty"`
	MaxBytes int        `json:"max_bytes,omitempty"`
}

// readPage returns what one request brings, and how many messages match from its
// sequence on.
func readPage(ctx context.Context, l *link, stream string, q pageRequest) (page []*storedMessage, matching int, err error) {
	err = askDirect(ctx, l, stream, q, func(msg *nats.Msg) (done bool, err error) {
		if lastOf(msg.Header, headerStream) == stream { // a message, whatever other headers it was stored with
			m := &storedMessage{msg: msg}
			if m.seq, err = strconv.ParseUint(lastOf(msg.Header, headerSequence), 10, 64); err != nil {
				return false, fmt.Errorf("relay: a stored message without its sequence: %w", err)
			}
			if page = append(page, m); len(page) == 1 {
				matching, _ = strconv.Atoi(lastOf(msg.Header, "Nats-Num-Pending"))
				matching++
			}
			return false, nil
		}
		switch status := statusOf(msg); status {
		case "204", "404": // the end of the batch, or no message
			return true, nil
		default:
			return false, fmt.Errorf("%w: status %q %s", driver.ErrUnavailable, status, lastOf(msg.Header, "Description"))
		}
	})
	if err != nil {
		return nil, 0, err
	}
	return page, matching, nil
}

const errCodeNoMessage = 10037

// readFromLeader returns the next message as the stream's leader has it, or nil where
// there is none.
func readFromLeader(ctx context.Context, l *link, stream string, q pageRequest) (*storedMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	msg, err := l.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return nil, unreachable(err)
	}
	var answer struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Time    time.Time `json:"time"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
		} `json:"message"`
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return nil, fmt.Errorf("relay: an answer of the server cannot be read: %w", err)
	}
	if e := answer.Error; e != nil {
		if e.ErrCode == errCodeNoMessage {
			return nil, nil
		}
		return nil, e
	}
	got := answer.Message
	m := &nats.Msg{Subject: got.Subject, Data: got.Data, Header: nats.Header{}}
	if len(got.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(got.Header); err != nil {
			return nil, fmt.Errorf("relay: the headers of a stored message cannot be read: %w", err)
		}
	}
	m.Header[headerStream] = []string{stream}
	m.Header[headerSubject] = []string{got.Subject}
	m.Header[headerSequence] = []string{strconv.FormatUint(got.Seq, 10)}
	return &storedMessage{msg: m, seq: got.Seq, stored: got.Time}, nil
}

// seekLast returns the sequence from which on count messages match, or as many as
// there are.
func seekLast(ctx context.Context, l *link, stream, subject string, last uint64, count int) (uint64, error) {
	matching := func(from uint64) (int, error) {
		_, n, err := readPage(ctx, l, stream, pageRequest{Seq: from, Subject: subject, Batch: 1})
		return n, err
	}
	n, err := matching(1)
	if err != nil || n <= count {
		return 1, err
	}
	low, high := uint64(1), last+1 // at low there are enough, at high there are not
	for high-low > 1 {
		middle := low + (high-low)/2
		if n, err = matching(middle); err != nil {
			return 0, err
		}
		if n >= count {
			low = middle
		} else {
			high = middle
		}
	}
	return low, nil
}

// unreachable says that the server could not be reached, or did not answer.
func unreachable(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("relay: the NATS server takes no message of that size: %w", err)
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}
