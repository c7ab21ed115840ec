package driver

// RequestRouter carries requests to app servers elsewhere: on other nodes, and in programs that
// use the backend directly. It is safe for concurrent use.
type RequestRouter interface {
	// Serve joins in answering requests for a pattern: until stop is called, take is called with
	// some of the requests, and reports whether this node accepts the request.
	Serve(pattern string, take func(*Message) bool) (stop func(), err error)
	// Request hands a request to one app server elsewhere and calls done once. The error is nil
	// if an app server accepted it; some app servers return an answer at once. Otherwise the
	// error wraps [ErrNoAppServer] or [ErrUnavailable].
	Request(m *Message, done func(answer *Message, err error))
}
