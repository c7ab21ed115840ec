package gateway

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/clientaddr"
)

// sockJSSession is one session over HTTP, and its broker.Transport: what the broker
// writes waits for a request that can carry it, a receiver.
//
// A receiver's lock is taken before mu. The handler's is taken with none of them held,
// or feeding alone.
type sockJSSession struct {
	handler *SockJS
	key     sockJSKey
	remote  string
	address string        // of the client, as limits count it
	body    chan struct{} // holds one while the body of a request is read

	session *broker.Session
	written atomic.Uint64
	polls   atomic.Bool // the last request for messages was a poll

	feeding  sync.Mutex // guards the following, and Receive and Detach of session
	detached bool

	mu         sync.Mutex // guards the following
	changed    sync.Cond
	receiver   *sockJSReceiver
	opened     bool
	closeFrame []byte      // nil while the session goes on
	timer      *time.Timer // of a session without a receiver
	idleSince  time.Time

	pending bool // under the handler's lock
}

// find returns the request's session, or nil.
func (h *SockJS) find(r *http.Request) *sockJSSession {
	key := h.key(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[key]
	if s == nil && h.ids[key.id] > 0 {
		h.refused.address.Add(1)
	}
	return s
}

var errSockJSPending = errors.New("too many sessions have not connected yet; raise sockjs.max_pending if they are yours")

// open returns the request's session, a new one where there is none.
func (h *SockJS) open(r *http.Request) (*sockJSSession, error) {
	if s := h.find(r); s != nil {
		return s, nil
	}
	s, removed, err := h.openNew(r)
	if removed != nil {
		removed.end(sockJSGoAway)
	}
	return s, err
}

// openNew is open for a session that was not there a moment ago. It returns a pending one of
// another address, if any, that is to be ended to make room.
func (h *SockJS) openNew(r *http.Request) (s, removed *sockJSSession, err error) {
	key, address := h.key(r), clientaddr.Network(r.RemoteAddr)
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sessions[key]; s != nil {
		return s, nil, nil
	}
	if h.pending.count >= h.options.MaxPending {
		h.refused.pending.Add(1)
		if removed = h.pending.makeRoomFor(address); removed == nil {
			return nil, nil, errSockJSPending
		}
	}
	s, err = h.makeLocked(r, key, address)
	return s, removed, err
}

// makeLocked makes a session, which is pending.
func (h *SockJS) makeLocked(r *http.Request, key sockJSKey, address string) (*sockJSSession, error) {
	s := &sockJSSession{handler: h, key: key, remote: r.RemoteAddr, address: address, body: make(chan struct{}, 1)}
	s.changed.L = &s.mu
	s.mu.Lock() // until all of it is there
	defer s.mu.Unlock()
	session, err := h.broker.Open(s)
	if err != nil {
		return nil, err
	}
	s.session = session
	h.conns.begin()
	s.waitLocked()
	h.pending.add(s)
	h.ids[key.id]++
	h.sessions[key] = s
	return s, nil
}

// connected notes that a session is not pending any more.
func (h *SockJS) connected(s *sockJSSession) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending.remove(s)
}

func (h *SockJS) remove(s *sockJSSession) {
	h.connected(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s.key] != s {
		return
	}
	delete(h.sessions, s.key)
	if h.ids[s.key.id]--; h.ids[s.key.id] == 0 {
		delete(h.ids, s.key.id)
	}
}

// receive handles messages of the client. Those of a session that has ended are thrown
// away, as on every transport.
func (s *sockJSSession) receive(messages sockJSMessages) {
	s.feeding.Lock()
	defer s.feeding.Unlock()
	if s.detached {
		return
	}
	messages.receive(s.session, broker.NewWork(s.handler.broker, s.address))
	s.session.EndRead()
	if s.session.Connected() {
		s.handler.connected(s)
	}
}

// attach has a request carry what is written from now on, and returns the frame that
// comes first, if any. It reports false where that frame is the last one.
func (s *sockJSSession) attach(r *sockJSReceiver) (first []byte, attached bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closeFrame != nil && s.opened:
		return s.closeFrame, false
	case s.receiver != nil:
		return sockJSTwice, false
	}
	if !s.opened {
		s.opened, first = true, sockJSOpen
	}
	if s.closeFrame != nil { // before the first request had come this far
		return first, false
	}
	s.timer.Stop()
	s.receiver = r
	s.polls.Store(r.transport.polling)
	s.changed.Broadcast()
	return first, true
}

// release ends what attach began, when the answer is complete. The session then waits
// for the next one.
func (s *sockJSSession) release(r *sockJSReceiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver != r {
		return
	}
	s.receiver = nil
	close(r.released)
	s.waitLocked()
}

// waitLocked has the session wait for the client's next request.
func (s *sockJSSession) waitLocked() {
	s.idleSince = time.Now()
	s.timer = time.AfterFunc(s.handler.options.DisconnectDelay, s.expire)
}

// expire ends a session whose client has not come back, and forgets it.
func (s *sockJSSession) expire() {
	s.mu.Lock()
	if s.receiver != nil || time.Since(s.idleSince) < s.handler.options.DisconnectDelay {
		s.mu.Unlock() // the timer had fired before it was stopped
		return
	}
	if s.closeFrame == nil {
		s.endLocked(sockJSGoAway)
	}
	s.mu.Unlock()
	s.handler.remove(s)
}

// end ends the session. Requests get frame from then on, until the session is
// forgotten. The first call counts, and returns the receiver that it took.
func (s *sockJSSession) end(frame []byte) *sockJSReceiver {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closeFrame != nil {
		return nil
	}
	s.timer.Stop()
	s.waitLocked()
	return s.endLocked(frame)
}

// interrupt ends a session whose answer broke off: what it carried may be lost.
func (s *sockJSSession) interrupt(r *sockJSReceiver) {
	r.abort()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver == r {
		s.waitLocked()
		s.endLocked(sockJSInterrupted)
	}
}

// lastFrame is what requests get after the end.
func (s *sockJSSession) lastFrame() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeFrame
}

func (s *sockJSSession) endLocked(frame []byte) *sockJSReceiver {
	s.closeFrame = frame
	s.changed.Broadcast()
	r := s.receiver
	if s.receiver = nil; r != nil {
		close(r.closing)
	}
	go s.detach() // the caller may be what Receive waits for
	return r
}

// detach ends the broker's session, once the request that is being handled is.
func (s *sockJSSession) detach() {
	s.feeding.Lock()
	defer s.feeding.Unlock()
	s.detached = true
	s.session.Detach(nil)
	s.handler.conns.end()
}

// current waits for a receiver, and returns nil once there will be none.
func (s *sockJSSession) current() *sockJSReceiver {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.receiver == nil && s.closeFrame == nil {
		s.changed.Wait()
	}
	if s.closeFrame != nil {
		return nil
	}
	return s.receiver
}

func (s *sockJSSession) Framing() broker.Framing { return sockJSText{s} }

func (s *sockJSSession) RemoteAddr() string { return s.remote }

func (s *sockJSSession) Name() string { return nameSockJS }

// Write waits for a request of the client, and sends all as one frame.
func (s *sockJSSession) Write(buffers [][]byte) error {
	for {
		r := s.current()
		if r == nil {
			return net.ErrClosed
		}
		full, err := r.sendMessages(buffers)
		if errors.Is(err, errSockJSFull) {
			s.release(r)
			continue
		}
		if err != nil {
			s.interrupt(r)
			return err
		}
		if full {
			s.release(r)
		}
		return nil
	}
}

// Progress implements [broker.ProgressTransport].
func (s *sockJSSession) Progress() uint64 { return s.written.Load() }

var _ broker.ProgressTransport = (*sockJSSession)(nil)

// Finish has the client read that the session has ended.
func (s *sockJSSession) Finish(time.Duration) { s.end(sockJSGoAway) }

// Close ends a write that is under way, too.
func (s *sockJSSession) Close() error {
	if r := s.end(sockJSGoAway); r != nil {
		r.abort()
	}
	return nil
}
