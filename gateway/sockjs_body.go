package gateway

import (
	"errors"
	"fmt"
	"io"

	"github.com/stompbox/stompbox/broker"
)

const (
	// maxConnectMessage is the largest message of a client that has not connected:
	// CONNECT fits, with a large token.
	maxConnectMessage = 32 << 10
	// minBody is how much of a message is read at first.
	minBody = 4 << 10
	// smallBody is how much of a message counts for nothing: what large ones take
	// together never stops small ones.
	smallBody = 64 << 10
)

var (
	errBodyTooLarge  = errors.New("gateway: a message is larger than the limit")
	errTooManyBodies = errors.New("too many bytes of large messages are being read; try again, or raise sockjs.max_bodies")
)

// sockJSBodyReader reads bodies of requests within the bounds of all sessions.
type sockJSBodyReader struct{ *SockJS }

// maxMessage is the largest message that the client of a session may send now.
func (h sockJSBodyReader) maxMessage(s interface{ Connected() bool }) int64 {
	if s.Connected() {
		return h.options.MaxMessage
	}
	// A header may be as long as the broker allows.
	return min(max(maxConnectMessage, 2*int64(h.broker.Limits().Frame.MaxHeaderLine)), h.options.MaxMessage)
}

// tooLarge says that a message is.
func (h sockJSBodyReader) tooLarge(limit int64) string {
	text := fmt.Sprintf("the message is larger than %d bytes", limit)
	if limit < h.options.MaxMessage {
		text += ", the limit before CONNECT"
	}
	return text
}

// sockJSBodies count the messages that are being read, beyond a small part of each. Its owner
// locks it.
type sockJSBodies struct {
	limit     int64
	bytes     int64
	byAddress map[string]int64
}

// grow counts more bytes of a message that has some already, or reports false. An address that
// has other messages may not have more than are free: one alone gets about half.
func (b *sockJSBodies) grow(address string, has, more int64) bool {
	theirs, free := b.byAddress[address], b.limit-b.bytes
	if more > free || theirs > has && theirs+more > free {
		return false
	}
	b.add(address, more)
	return true
}

func (b *sockJSBodies) add(address string, n int64) {
	b.bytes += n
	if b.byAddress[address] += n; b.byAddress[address] == 0 {
		delete(b.byAddress, address)
	}
}

// readAll returns all that r has, which comes from an address, within a limit. The caller forgets
// it, also where there is an error.
func (h sockJSBodyReader) readAll(r io.Reader, address string, limit int64) ([]byte, error) {
	var body []byte
	for {
		var err error
		if body, err = h.grow(body, address, limit); err != nil {
			return body, err
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			h.refused.size.Add(1)
			return body, errBodyTooLarge
		case err == io.EOF:
			return body, nil
		case err != nil:
			return body, err
		}
	}
}

// grow makes room for more of a message, and counts it.
func (h sockJSBodyReader) grow(body []byte, address string, limit int64) ([]byte, error) {
	if len(body) < cap(body) {
		return body, nil
	}
	// A byte more than the limit shows that there is more.
	size := min(int64(max(2*cap(body), minBody)), limit+1)
	has := counted(int64(cap(body)))
	if more := counted(size) - has; more > 0 {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.bodies.grow(address, has, more) {
			h.refused.bodies.Add(1)
			return body, errTooManyBodies
		}
	}
	grown := make([]byte, len(body), size)
	copy(grown, body)
	return grown, nil
}

// parse reads messages that came from an address, when it is its turn.
func (h sockJSBodyReader) parse(payload []byte, address string) (sockJSMessages, error) {
	work := broker.NewWork(h.broker, address)
	defer work.Rest()
	work.Begin(len(payload))
	return parseMessages(payload)
}

func counted(size int64) int64 { return max(size-smallBody, 0) }

// forget ends the counting of what readAll returned.
func (h sockJSBodyReader) forget(body []byte, address string) {
	if size := counted(int64(cap(body))); size > 0 {
		h.mu.Lock()
		h.bodies.add(address, -size)
		h.mu.Unlock()
	}
}
