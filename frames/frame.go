package frames

import "slices"

// The commands of STOMP 1.0 to 1.2.
const (
	CONNECT     = "CONNECT"
	STOMP       = "STOMP"
	CONNECTED   = "CONNECTED"
	SEND        = "SEND"
	SUBSCRIBE   = "SUBSCRIBE"
	UNSUBSCRIBE = "UNSUBSCRIBE"
	ACK         = "ACK"
	NACK        = "NACK"
	BEGIN       = "BEGIN"
	COMMIT      = "COMMIT"
	ABORT       = "ABORT"
	DISCONNECT  = "DISCONNECT"
	MESSAGE     = "MESSAGE"
	RECEIPT     = "RECEIPT"
	ERROR       = "ERROR"
)

// Names of headers that the specification defines.
const (
	AcceptVersion = "accept-version"
	Ack           = "ack"
	ContentLength = "content-length"
	ContentType   = "content-type"
	Destination   = "destination"
	HeartBeatName = "heart-beat"
	Host          = "host"
	ID            = "id"
	Login         = "login"
	MessageHeader = "message"
	MessageID     = "message-id"
	Passcode      = "passcode"
	Receipt       = "receipt"
	ReceiptID     = "receipt-id"
	Server        = "server"
	Session       = "session"
	Subscription  = "subscription"
	Transaction   = "transaction"
	VersionName   = "version"
)

// Header is one header entry of a frame, unescaped.
type Header struct {
	Name, Value string
}

// Headers are the header entries of a frame in the order of the wire. A name
// may occur more than once; the first entry is the one that counts (STOMP 1.2,
// "Repeated Header Entries").
type Headers []Header

// Lookup returns the value of the first entry called name, and whether there is one.
func (h Headers) Lookup(name string) (value string, ok bool) {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value, true
		}
	}
	return "", false
}

// Get returns the value of the first entry called name, or "".
func (h Headers) Get(name string) string {
	value, _ := h.Lookup(name)
	return value
}

// With returns h with one entry appended. It may share memory with h.
func (h Headers) With(name, value string) Headers {
	return append(h, Header{name, value})
}

// Without returns a copy of h without the entries of these names, and with room for
// one more.
func (h Headers) Without(names ...string) Headers {
	kept := make(Headers, 0, len(h)+1)
	for _, header := range h {
		if !slices.Contains(names, header.Name) {
			kept = append(kept, header)
		}
	}
	return kept
}

// Frame is one STOMP frame. Frames that a [Decoder] or a [Reader] returns must
// not have their Body changed: headers and body share memory.
type Frame struct {
	Command string
	Headers Headers
	Body    []byte
}

// New returns a frame with the given command and headers, which come as pairs
// of name and value. It panics when the pairs are not complete, as that is a
// mistake in the calling code.
func New(command string, pairs ...string) *Frame {
	if len(pairs)%2 != 0 {
		panic("frames.New: header names and values must come in pairs")
	}
	f := &Frame{Command: command}
	for pair := range slices.Chunk(pairs, 2) {
		f.Headers = f.Headers.With(pair[0], pair[1])
	}
	return f
}

// Get returns the value of the first header called name, or "".
func (f *Frame) Get(name string) string { return f.Headers.Get(name) }

// command returns the constant that equals line, or "".
func command(line []byte) string {
	switch string(line) {
	case SEND:
		return SEND
	case MESSAGE:
		return MESSAGE
	case ACK:
		return ACK
	case NACK:
		return NACK
	case SUBSCRIBE:
		return SUBSCRIBE
	case UNSUBSCRIBE:
		return UNSUBSCRIBE
	case BEGIN:
		return BEGIN
	case COMMIT:
		return COMMIT
	case ABORT:
		return ABORT
	case CONNECT:
		return CONNECT
	case STOMP:
		return STOMP
	case CONNECTED:
		return CONNECTED
	case DISCONNECT:
		return DISCONNECT
	case RECEIPT:
		return RECEIPT
	case ERROR:
		return ERROR
	}
	return ""
}

// mayHaveBody reports whether the specification lets a frame of this command
// have a body.
func mayHaveBody(command string) bool {
	return command == SEND || command == MESSAGE || command == ERROR
}

// isUnescaped reports whether headers of this command travel without escapes
// in every version, so that 1.0 peers understand them.
func isUnescaped(command string) bool {
	return command == CONNECT || command == CONNECTED
}
