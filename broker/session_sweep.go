package broker

import (
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/destination"
)

// sweep looks at every session at a coarse interval: heart-beats to send and to
// miss, credentials that end, clients that never connect, writes that hang. One
// goroutine does it for all, so that idle connections need no timer.
func (b upkeep) sweep() {
	every := b.sweepEvery.Load()
	tick := time.NewTicker(time.Duration(every))
	defer tick.Stop()
	extended := b.clock.now()
	swept := extended
	var beats beatWriter
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
			now, wall := b.clock.now(), time.Now()
			if now-swept > pausedAfter*every {
				// This process was paused or starved. Its peers were not silent: it did not read.
				b.resumedAt.Store(now)
			}
			swept = now
			beats.left = maxOwnBeats
			b.registry.each(func(s *Session) { s.sweep(now, wall, &beats) })
			b.app.sweepRequests(now)
			b.memory.unacked.wakeAll()
			b.dedup.forget(now)
			b.names.sweep(b.Broker, now)
			b.kept.sweep(b.Broker, now)
			if hold := int64(b.ackWait / 3); hold > 0 && now-extended > hold/2 {
				extended = now
				for _, q := range b.queues.all() {
					q.extend(now, hold/2)
				}
			}
			b.liveness.swept.Store(b.clock.now())
			if wanted := b.sweepEvery.Load(); wanted != every {
				every = wanted
				tick.Reset(time.Duration(every))
			}
		}
	}
}

// sweepInterval returns how often to sweep: fine enough for the shortest interval there can be.
func (b upkeep) sweepInterval() time.Duration {
	interval := time.Second
	current := b.settings()
	for _, d := range []time.Duration{current.heartBeat.Send, current.heartBeat.Receive, current.limits.ConnectTimeout, current.limits.IdleTimeout, current.limits.FrameTimeout, current.limits.WriteTimeout, b.ackWait / 2} {
		if d > 0 {
			interval = min(interval, d/5)
		}
	}
	return max(interval, 5*time.Millisecond)
}

// maxOwnBeats is how many heart-beats a sweep writes by itself, which takes some 20 ms. More
// are written by goroutines, so that a million that are due at once do not hold the sweep up.
const maxOwnBeats = 8192

// beatWriter writes the heart-beats of a sweep, each at once as far as the connection takes
// it: a goroutine and a queue of its own for each would be most of what an idle connection
// costs.
type beatWriter struct {
	flushes flushList
	left    int
}

func (w *beatWriter) push(o *outbox, beat []byte) {
	if w.left <= 0 {
		o.push(beat)
		return
	}
	w.left--
	o.pushHeld(beat, &w.flushes)
	w.flushes.flush()
}

// sweep does what is due for one session.
func (s *Session) sweep(now int64, wall time.Time, beats *beatWriter) {
	l := &s.broker.settings().limits
	resumed := s.broker.resumedAt.Load()
	limit := l.WriteTimeout
	if state(s.state.Load()) == stateEnding {
		if limit <= 0 || limit > lingerTimeout {
			limit = lingerTimeout
		}
	}
	if s.writeHangs(now, resumed, int64(limit)) {
		e := errorf(CodeSlowConsumer, "the client took nothing of what was written to it for %s", limit)
		e.limit = "write_timeout"
		s.endWith(e)
		_ = s.transport.Close() // the write under way has to end
		return
	}
	switch state(s.state.Load()) {
	case stateConnecting:
		if now-max(s.openedAt, resumed) > int64(l.ConnectTimeout) {
			s.endWith(errorf(CodeConnectTimeout, "no CONNECT frame within %s", l.ConnectTimeout))
		}
	case stateConnected:
		if expires := s.expiresAt.Load(); expires != 0 && wall.UnixMilli() >= expires {
			s.endWith(expired(s.shown.Load()))
			return
		}
		if until := s.endsAt.Load(); until != 0 && now >= until {
			s.ended.set(&endedByLifetime)
			s.end(nil, s.framing.Close(CloseNormal, ""))
			return
		}
		if s.arriving.stands(now, int64(l.FrameTimeout), resumed) {
			s.endWith(errorf(CodeFrameTimeout, "a frame began, and less than %d bytes of it came within %s", minFrameProgress, l.FrameTimeout))
			return
		}
		s.sweepBeats(now, beats)
	}
}

// expired says which credentials have, so that it is known what to renew.
func expired(p *auth.Principal) *Error {
	if p.Method == auth.MethodCertificate {
		return errorf(CodeTokenExpired, "the client certificate has expired, or one that it is signed by; connect with a renewed one")
	}
	return errorf(CodeTokenExpired, "the token has expired; connect with a fresh one, or send one to %s in time", destination.TokenDestination)
}

// writeHangs reports whether the peer has taken nothing of a write for longer than the
// limit. One that reads slowly takes something.
func (s *Session) writeHangs(now, resumed, limit int64) bool {
	since := s.outbox.writing.Load()
	if since == 0 || limit <= 0 || now-max(since, resumed) <= limit/progressChecks {
		return false
	}
	if t, ok := s.transport.(ProgressTransport); ok {
		if p := t.Progress(); p != s.progress {
			s.progress, s.progressAt = p, now
		}
	}
	return now-max(since, resumed, s.progressAt) > limit
}

// progressChecks is how often the progress of a write is looked at before its time is
// over, at least where sweeps are as frequent.
const progressChecks = 8

func (s *Session) sweepBeats(now int64, beats *beatWriter) {
	lastRead := max(s.lastRead.Load(), s.broker.resumedAt.Load())
	silent := now - lastRead
	if receive := s.beatReceive.Load(); receive > 0 {
		if silent > int64(float64(receive)*s.broker.settings().heartBeat.Grace) && s.isGone(now, lastRead, receive, beats) {
			s.endWith(errorf(CodeHeartBeatMissing, "no heart-beat for %s; %s was agreed", time.Duration(silent).Round(time.Millisecond), time.Duration(receive)))
			return
		}
	} else {
		s.sweepIdle(now, silent)
	}
	interval := s.broker.sweepEvery.Load()
	if v := s.outbox.eventIDs; v != nil && v.beats {
		if send := s.beatSend.Load(); send > 0 && now-s.beaten+interval > send && s.outbox.writing.Load() == 0 {
			s.beaten = now
			beats.push(&s.outbox, s.outbox.beatEvent(send))
		}
		return
	}
	if send := s.beatSend.Load(); send > 0 && now-s.outbox.lastWrite.Load()+interval >= send && s.outbox.writing.Load() == 0 && !endPause(&s.outbox) {
		beats.push(&s.outbox, s.framing.HeartBeat())
	}
}

// isGone reports whether a peer that has missed its heart-beats is given up. A WebSocket
// is asked with a ping first, which browsers answer also where the timers of a hidden
// tab are throttled. Any other peer has one more sweep: what it sent may be here, and
// its reader has not run yet.
func (s *Session) isGone(now, lastRead, receive int64, beats *beatWriter) bool {
	ping := s.framing.Ping()
	if s.pinged <= lastRead {
		s.pinged = now
		if ping != nil {
			beats.push(&s.outbox, ping)
		}
		return false
	}
	if ping == nil {
		return true
	}
	return now-s.pinged > max(receive, s.broker.sweepEvery.Load())
}

// pausedAfter is how many sweep intervals late a sweep has to be to tell that the process
// was paused.
const pausedAfter = 4

// sweepIdle asks a silent peer whether it is there, where the transport can.
func (s *Session) sweepIdle(now, silent int64) {
	idle := int64(s.broker.settings().limits.IdleTimeout)
	ping := s.framing.Ping()
	if idle <= 0 || ping == nil || silent < idle/2 {
		return
	}
	if silent > idle {
		s.endWith(errorf(CodeIdle, "nothing arrived for %s, not even an answer to a ping", time.Duration(silent).Round(time.Second)))
		return
	}
	if now-s.pinged > idle/4 {
		s.pinged = now
		s.outbox.push(ping)
	}
}
