package broker

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
)

// connect handles the first frame of a session.
func (s *Session) connect(f *frames.Frame) error {
	if f.Command != frames.CONNECT && f.Command != frames.STOMP {
		return errorf(CodeNotConnected, "the first frame has to be CONNECT or STOMP, not %s", f.Command)
	}
	version, err := frames.ConnectVersion(f)
	if err != nil {
		return err
	}
	beats, err := frames.ParseHeartBeat(f.Get(frames.HeartBeatName))
	if err != nil {
		return err
	}
	shown := credentials(f)
	shown.Remote = s.transport.RemoteAddr()
	if t, ok := s.transport.(Certified); ok {
		shown.Certificate = t.Certificate()
	}
	principal, err := s.broker.auth.Authenticate(s.broker.ctx, shown)
	if err != nil {
		return unauthenticated(err)
	}
	if s.broker.draining.Load() {
		return shuttingDown("the server is shutting down; connect again")
	}
	usage, refused := s.broker.usage.join(principal.Name)
	if refused != nil {
		refused.user = principal.Name
		return refused
	}
	s.setUser(principal.Name, usage)
	s.setVersion(version)
	s.decoder.SetVersion(version)
	s.setPrincipal(principal)
	offered := s.broker.settings().heartBeat
	ours := frames.HeartBeat{Send: offered.Send, Receive: offered.Receive}
	if version == frames.V10 {
		beats = frames.HeartBeat{} // 1.0 has none
	}
	agreed := ours.Negotiate(beats)
	s.beatSend.Store(int64(agreed.Send))
	s.beatReceive.Store(int64(agreed.Receive))

	connected := frames.New(frames.CONNECTED)
	if _, asked := f.Headers.Lookup(frames.AcceptVersion); asked {
		connected.Headers = connected.Headers.With(frames.VersionName, version.String())
	}
	if version > frames.V10 {
		connected.Headers = connected.Headers.With(frames.HeartBeatName, ours.String())
	}
	connected.Headers = connected.Headers.With(frames.Session, s.id).
		With(frames.Server, s.broker.server)
	if !principal.Relay {
		connected.Headers = connected.Headers.With("user-name", principal.Name)
	}
	if !s.state.CompareAndSwap(int32(stateConnecting), int32(stateConnected)) {
		return ErrClosed
	}
	if err := s.broker.bans.check(principal, time.Now()); err != nil { // made meanwhile
		return unauthenticated(err)
	}
	s.broker.counters.connected.Add(1)
	s.outbox.pushHeld(s.encode(connected), s.flushes)
	s.logConnected(version)
	return nil
}

func credentials(f *frames.Frame) auth.Credentials {
	c := auth.Credentials{Login: f.Get(frames.Login), Passcode: f.Get(frames.Passcode)}
	for _, h := range f.Headers {
		// STOMP's names are case-sensitive, HTTP's are not, and clients write both.
		if strings.EqualFold(h.Name, authorization) {
			c.Authorization = h.Value
			break
		}
	}
	return c
}

// unauthenticated hides why: a client that guesses learns nothing.
func unauthenticated(err error) error {
	if errors.Is(err, auth.ErrNameTooLong) {
		return &Error{Code: CodeUnauthenticated, Message: auth.ErrNameTooLong.Error(), Cause: err}
	}
	if errors.Is(err, auth.ErrUnauthenticated) {
		return &Error{Code: CodeUnauthenticated, Message: auth.ErrUnauthenticated.Error(), Cause: err}
	}
	var kept *BannedError
	if errors.As(err, &kept) {
		return banned(kept)
	}
	if errors.Is(err, ErrBansUnread) {
		return &Error{Code: CodeUnavailable, Message: ErrBansUnread.Error(), retryAfter: retryAfter}
	}
	var busy *auth.BusyError
	if errors.As(err, &busy) {
		return &Error{Code: CodeLoginBusy, Message: busy.Error(), limit: busy.Limit, retryAfter: int(math.Ceil(busy.RetryAfter.Seconds()))}
	}
	return &Error{Code: CodeUnavailable, Message: "authentication is not available at the moment; connect again in some seconds", Cause: err}
}

// freeBytes is what a connection has of some budgets before it counts.
const freeBytes = 64 << 10

// setUser notes whose session it is, and so whose budgets are used.
func (s *Session) setUser(name string, u *userUsage) {
	b := s.broker
	s.usage, s.user = u, name
	s.held.ids = account{budget: b.memory.unacked, user: name, free: freeBytes, bounded: true}
	s.transactionBytes = account{budget: b.memory.transactions, user: name, free: freeBytes}
	s.incomingBytes.clear()
	s.incomingBytes = account{budget: b.memory.incoming, user: name, free: freeBytes}
	s.receipts.account = account{budget: b.memory.incoming, user: name, free: freeBytes}
	s.subscriptionBytes = account{budget: b.memory.subscriptions, user: name, free: freeSubscriptionBytes, bounded: true}
}

func (s *Session) setPrincipal(p *auth.Principal) {
	s.principal = p
	s.shown.Store(p)
	s.expiresAt.Store(expiryMillis(p.Expires))
}

// expiryMillis returns an end of credentials in milliseconds since 1970, or 0 for
// never. What lies further away than they can count is as far as they can.
func expiryMillis(ends time.Time) int64 {
	switch seconds := ends.Unix(); {
	case ends.IsZero():
		return 0
	case seconds > math.MaxInt64/1000-1:
		return math.MaxInt64
	case seconds < 0:
		return 1 // before 1970, which is not never
	default:
		return max(ends.UnixMilli(), 1)
	}
}

// refresh takes a fresh token. Subscriptions that it no longer permits end the
// session, so that no subscription outlives its permission.
func (s *Session) refresh(token []byte) error {
	fresh, err := s.broker.auth.Refresh(s.broker.ctx, s.principal, string(token))
	if err != nil {
		return unauthenticated(err)
	}
	if !fresh.Expires.IsZero() && !time.Now().Before(fresh.Expires) {
		return &Error{Code: CodeUnauthenticated, Message: auth.ErrUnauthenticated.Error(), Cause: errors.New("the fresh token has expired")}
	}
	for _, sub := range s.subs.all() {
		if sub.isReply {
			continue // whose reply it is was decided by a SEND
		}
		if err := s.broker.admission.reauthorize(fresh, s, sub); err != nil {
			return err
		}
	}
	s.setPrincipal(fresh)
	return nil
}
