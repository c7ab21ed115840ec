package gateway

import (
	"compress/flate"
	"errors"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/broker"
)

const deflateExtension = "permessage-deflate"

// offersDeflate reports whether a client offers permessage-deflate in a form that can be
// agreed to (RFC 7692, 7.1).
func offersDeflate(header http.Header) bool {
	for _, line := range header.Values("Sec-Websocket-Extensions") {
		for offer := range strings.SplitSeq(line, ",") {
			parts := strings.Split(offer, ";")
			if strings.TrimSpace(parts[0]) == deflateExtension && agreeable(parts[1:]) {
				return true
			}
		}
	}
	return false
}

// agreeable reports whether the parameters of an offer ask for nothing but what is done
// anyway: each message is compressed by itself. Go's flate has one size of window, so a
// smaller one cannot be promised.
func agreeable(parameters []string) bool {
	seen := make(map[string]bool)
	for _, p := range parameters {
		name, value, valued := strings.Cut(strings.TrimSpace(p), "=")
		if seen[name] {
			return false
		}
		seen[name] = true
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if valued {
				return false
			}
		case "client_max_window_bits":
			bits, err := strconv.Atoi(strings.Trim(value, `"`))
			if valued && (err != nil || bits < 8 || bits > 15) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// deflatedReader reads a WebSocket whose messages may be compressed.
type deflatedReader struct {
	wsReader
	inflated deflatedMessages
}

func newDeflatedReader(s session, framing broker.Framing, limit int64) *deflatedReader {
	r := &deflatedReader{wsReader{session: s, framing: framing, deflate: true}, deflatedMessages{plainMessages: plainMessages{session: s, max: limit}}}
	r.messages = &r.inflated
	return r
}

// deflatedMessages inflates messages as they come.
type deflatedMessages struct {
	plainMessages
	wire     int64     // bytes of a compressed message that have come or are announced
	came     int       // of them
	inflater *inflater // nil: the message is not compressed
}

var errNotDeflated = &messageError{websocket.CloseInvalidFramePayloadData, "the message cannot be inflated: it is not what DEFLATE makes, or not whole"}

func (m *deflatedMessages) begin(text, compressed bool) {
	m.plainMessages.begin(text, false)
	m.wire, m.came = 0, 0
	if compressed {
		m.inflater = newInflater()
	}
}

func (m *deflatedMessages) expect(n int64) error {
	if m.inflater == nil {
		return m.plainMessages.expect(n)
	}
	if n > m.max-m.wire {
		return errTooBig
	}
	m.wire += n
	return nil
}

func (m *deflatedMessages) write(p []byte) error {
	if m.inflater == nil {
		return m.plainMessages.write(p)
	}
	m.came += len(p)
	m.session.Arriving(m.came)
	return m.inflate(p)
}

// inflate gives the session what p adds to the message.
func (m *deflatedMessages) inflate(p []byte) error {
	for part := range m.inflater.write(p) {
		if err := m.plainMessages.write(part); err != nil {
			return err
		}
	}
	if m.inflater.err != nil {
		return errNotDeflated
	}
	return nil
}

// messageTail is what compressed messages are sent without (RFC 7692, 7.2.1), and an
// empty last block.
var messageTail = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

func (m *deflatedMessages) end() error {
	if m.inflater != nil {
		if err := m.inflate(messageTail); err != nil {
			return err
		}
		if !m.inflater.whole {
			return errNotDeflated
		}
		m.session.Arriving(0)
		m.drop()
	}
	return m.plainMessages.end()
}

func (m *deflatedMessages) drop() {
	if m.inflater != nil {
		m.inflater.close()
		m.inflater = nil
	}
}

// inflater inflates one message that comes in parts. Go's flate reads what it inflates,
// so it has a coroutine, which waits in a read until the next part is there.
type inflater struct {
	in    []byte
	err   error // what is wrong with the message
	whole bool  // what came ends with a last block
	next  func() ([]byte, bool)
	stop  func()
}

var flateReaders = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// errStopped ends an inflater whose message will not be whole.
var errStopped = errors.New("gateway: the message will not be whole")

func newInflater() *inflater {
	i := new(inflater)
	i.next, i.stop = iter.Pull(i.run)
	return i
}

// write returns what p adds to the message, in parts that are overwritten by the next.
func (i *inflater) write(p []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i.in = p
		for {
			part, ok := i.next()
			if !ok || part == nil || !yield(part) {
				return
			}
		}
	}
}

func (i *inflater) close() { i.stop() }

// run yields what is inflated, and nil when it needs more.
func (i *inflater) run(yield func([]byte) bool) {
	source := &inflaterSource{inflater: i, yield: yield}
	inflated := flateReaders.Get().(io.ReadCloser)
	defer flateReaders.Put(inflated)
	buffer := readBuffers.Get().(*[16 << 10]byte)
	defer readBuffers.Put(buffer)
	for {
		// After a last block others may follow (RFC 7692, 7.2.3.4).
		_ = inflated.(flate.Resetter).Reset(source, nil)
		for {
			n, err := inflated.Read(buffer[:])
			if n > 0 && !yield(buffer[:n]) || errors.Is(err, errStopped) {
				return
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				i.err = err
				return
			}
		}
		for i.whole = true; len(i.in) == 0; {
			if !yield(nil) {
				return
			}
		}
		i.whole = false
	}
}

// inflaterSource is what an inflater reads. It is an [io.ByteReader], so that flate
// reads no more than it needs.
type inflaterSource struct {
	*inflater
	yield func([]byte) bool
}

func (s *inflaterSource) wait() error {
	for len(s.in) == 0 {
		if !s.yield(nil) {
			return errStopped
		}
	}
	return nil
}

func (s *inflaterSource) Read(p []byte) (int, error) {
	if err := s.wait(); err != nil {
		return 0, err
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *inflaterSource) ReadByte() (byte, error) {
	if err := s.wait(); err != nil {
		return 0, err
	}
	c := s.in[0]
	s.in = s.in[1:]
	return c, nil
}
