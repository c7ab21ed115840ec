package driver

// RequestRouter carries requests to app servers elsewhere: on other nodes, and in programs that
// use the backend directly. It is safe for concurrent use.
type RequestRouter interface {
	// Serve joins in answering requests for a pattern: until stop is called, take is called with
	// some of the requests, and returns nil if this node accepts the request. It returns
	// [ErrNoAppServer] for a request that is not for it, and any other error if there is no room.
	Serve(pattern string, take func(*Message) error) (stop func(), err error)
	// Request hands a request to one app server elsewhere and calls done once. The error is nil
	// if an app server accepted it; some app servers return an answer at once. Otherwise the
	// error wraps [ErrNoAppServer], [ErrQueueFull] if there are app servers without room, or
	// [ErrUnavailable].
	Request(m *Message, done func(answer *Message, err error))
}
