package driver

// RequestRouter carries requests to app servers elsewhere: those of other nodes, and
// programs that speak the protocol of the backend. It is safe for concurrent use.
type RequestRouter interface {
	// Serve takes part in answering requests for a pattern: take is called with some
	// of them, and reports whether this node has taken the request. It does so
	// until stop was called.
	Serve(pattern string, take func(*Message) bool) (stop func(), err error)
	// Request hands a request to one app server elsewhere and calls done once: with
	// nil when it was taken, with an answer too where that came with it, or with an
	// error that wraps [ErrNoAppServer] or [ErrUnavailable].
	Request(m *Message, done func(answer *Message, err error))
}
