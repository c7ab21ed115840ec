package relay

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// checkEvery is how often JetStream is asked whether it is there, and how far its
	// histories are.
	checkEvery = 2 * time.Second
	// partitionCheckEvery is how often a server of a cluster looks whether it is alone.
	partitionCheckEvery = 250 * time.Millisecond
)

// health finds out what can be done over the link, and has the link note it.
type health struct {
	link    *link
	acks    *acks
	members *members
	readers *readers
	joining joining
}

// watchRoutes notes that a link between embedded servers was made again: what went
// over the old one last may not have arrived.
func (h *health) watchRoutes() {
	if !h.link.clustered() {
		return
	}
	h.link.server.reportMissing(time.Now())
	if made := h.link.server.newRoutes(); len(made) > 0 {
		h.readers.routesMade(made)
		h.members.hello()
		h.link.mayHaveMissed()
	}
}

// watchPartition notes when an embedded server has lost all servers that it was joined
// to, and when one is back. What waits for an answer then fails: no majority can give
// it. It does not wait for JetStream, which takes some seconds longer to find that out.
func (h *health) watchPartition() {
	joined := false
	h.link.every(partitionCheckEvery, func(now time.Time) {
		alone := h.link.server.running().NumRoutes() == 0
		h.joining.look(h.link, now, alone)
		joined = joined || !alone
		if !joined || !alone {
			h.link.observe(routesBack, nil)
			return
		}
		h.link.observe(routesLost, errPartitioned)
		h.acks.fail(time.Now(), errPartitioned)
	})
}

// check finds out whether JetStream can keep something now. Where it never was there,
// as on a NATS server without it, that is no fault.
func (h *health) check(ctx context.Context) {
	if err := h.askJetStream(ctx); err != nil {
		h.link.observe(jetStreamMissed, err)
	} else {
		h.link.observe(jetStreamAnswered, nil)
	}
}

func (h *health) askJetStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkEvery)
	defer cancel()
	msg, err := h.link.conn.RequestWithContext(ctx, "$JS.API.INFO", nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return errors.New("no server answers for JetStream")
	}
	if err != nil {
		return err
	}
	var answer struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil || answer.Error == nil {
		return err
	}
	return answer.Error
}

const (
	// maxJoining is how long a server that is back with the others may take to catch up
	// before it counts as ready all the same: a stream may be without a majority for long.
	maxJoining = 30 * time.Second
	// joiningCheckEvery is how often it is looked whether it has.
	joiningCheckEvery = time.Second
)

// joining says whether a server of a cluster has what the others have, after it began or was
// cut off. Before, it is not ready: if the next one were restarted then, a stream that
// is new to this one would have no majority of servers that know what it has.
type joining struct {
	behind atomic.Bool

	// Of the watch alone.
	since   time.Time // when the first route was back
	next    time.Time // when to look again
	current func() error
}

func (j *joining) begin(s *Server) {
	j.behind.Store(true)
	j.current = s.caughtUp
}

// look notes what a server is that has routes to others, or none.
func (j *joining) look(l *link, now time.Time, alone bool) {
	if alone {
		j.since = time.Time{}
		j.behind.Store(true)
		return
	}
	if j.since.IsZero() {
		j.since, j.next = now, now
	}
	if !j.behind.Load() || now.Before(j.next) {
		return
	}
	j.next = now.Add(joiningCheckEvery)
	err := j.current()
	switch took := now.Sub(j.since); {
	case err == nil:
		l.log.Info("this node has what the others have", "took", took.Round(time.Millisecond))
	case took < maxJoining:
		return
	default:
		l.log.Warn("this node does not catch up with the others; it counts as ready all the same. Wait before you restart another one", "error", err)
	}
	j.behind.Store(false)
}

// caughtUp returns what the server does not have yet of what others have, or nil.
func (s *Server) caughtUp() error {
	if status := s.running().Healthz(nil); status.Error != "" {
		return errors.New(status.Error)
	}
	return nil
}
