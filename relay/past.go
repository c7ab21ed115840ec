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
	// pageMessages and pageBytes bound one request for messages of the past.
	pageMessages = 256
	pageBytes    = 1 << 20
	// pageTimeout is how long an answer may take.
	pageTimeout = 5 * time.Second
)

// past reads the messages of a stream on one subject, which may have wildcards,
// in order and up to a position. It reads from whichever replica answers. One that
// lags could end too early, so the end is checked with the leader.
type past struct {
	relay   *Relay
	stream  string
	subject string
	next    uint64     // the first sequence that was not read yet
	since   *time.Time // in place of next, for the first request
	upTo    uint64
	page    []*pastMessage
	ended   bool
}

type pastMessage struct {
	msg *nats.Msg
	seq uint64
}

// peek returns the next message, or nil at the end.
func (p *past) peek(ctx context.Context) (*pastMessage, error) {
	for len(p.page) == 0 && !p.ended {
		if err := p.read(ctx); err != nil {
			return nil, err
		}
	}
	if len(p.page) == 0 {
		return nil, nil
	}
	return p.page[0], nil
}

func (p *past) take() { p.page = p.page[1:] }

func (p *past) read(ctx context.Context) error {
	if p.next > p.upTo {
		p.ended = true
		return nil
	}
	page, _, err := p.relay.readPage(ctx, p.stream, pageRequest{Seq: p.next, Since: p.since, Subject: p.subject, Batch: pageMessages, MaxBytes: pageBytes})
	if err != nil {
		return err
	}
	if p.since != nil && len(page) == 0 {
		p.ended = true
		return nil
	}
	p.since = nil
	if len(page) == 0 {
		one, err := p.relay.askLeader(ctx, p.stream, pageRequest{Seq: p.next, Subject: p.subject})
		if err != nil {
			return err
		}
		if one != nil {
			page = append(page, one)
		}
	}
	if p.ended = len(page) == 0; !p.ended {
		p.next = page[len(page)-1].seq + 1
	}
	for len(page) > 0 && page[len(page)-1].seq > p.upTo {
		page, p.ended = page[:len(page)-1], true
	}
	p.page = page
	return nil
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
func (r *Relay) readPage(ctx context.Context, stream string, q pageRequest) (page []*pastMessage, matching int, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	inbox := nats.NewInbox()
	sub, err := r.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, 0, unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	body, err := json.Marshal(q)
	if err != nil {
		return nil, 0, err
	}
	if err := r.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, body); err != nil {
		return nil, 0, unavailable(err)
	}
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, 0, unavailable(err)
		}
		if lastOf(msg.Header, headerStream) == stream { // a message, whatever other headers it was stored with
			one := &pastMessage{msg: msg}
			if one.seq, err = strconv.ParseUint(lastOf(msg.Header, headerSequence), 10, 64); err != nil {
				return nil, 0, fmt.Errorf("relay: a stored message without its sequence: %w", err)
			}
			if page = append(page, one); len(page) == 1 {
				matching, _ = strconv.Atoi(lastOf(msg.Header, "Nats-Num-Pending"))
				matching++
			}
			continue
		}
		switch status := statusOf(msg); status {
		case "204", "404": // the end of the batch, or no message
			return page, matching, nil
		default:
			return nil, 0, fmt.Errorf("%w: status %q %s", driver.ErrUnavailable, status, lastOf(msg.Header, "Description"))
		}
	}
}

const errCodeNoMessage = 10037

// askLeader returns the next message as the stream's leader has it, or nil where
// there is none.
func (r *Relay) askLeader(ctx context.Context, stream string, q pageRequest) (*pastMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	msg, err := r.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return nil, unavailable(err)
	}
	var answer struct {
		Message struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Header  []byte `json:"hdrs"`
			Data    []byte `json:"data"`
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
	return &pastMessage{m, got.Seq}, nil
}

// seekLast returns the sequence from which on count messages match, or as many as
// there are.
func (r *Relay) seekLast(ctx context.Context, stream, subject string, last uint64, count int) (uint64, error) {
	matching := func(from uint64) (int, error) {
		_, n, err := r.readPage(ctx, stream, pageRequest{Seq: from, Subject: subject, Batch: 1})
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

// unavailable says that the server could not be reached, or did not answer.
func unavailable(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("relay: the NATS server takes no message of that size: %w", err)
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}
