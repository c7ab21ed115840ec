package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
)

// checkEvery is how often JetStream is asked whether it is there, and how far its
// histories are.
const checkEvery = 2 * time.Second

// watch looks after what may take a while to answer, until the relay ends.
func (r *Relay) watch() {
	r.every(checkEvery, func(time.Time) {
		if !r.conn.IsConnected() {
			return
		}
		r.watchRoutes()
		r.checkJetStream(r.ctx)
		if !r.away.Load() {
			r.checkHistories(r.ctx)
		}
	})
}

// watchRoutes notes that a link between embedded servers was made anew: what went
// over the old one last may not have arrived.
func (r *Relay) watchRoutes() {
	if r.server == nil || !r.server.clustered {
		return
	}
	if made := r.server.newRoutes(); made {
		r.hello()
		r.suspect()
	}
}

// cutEvery is how often a server of a cluster looks whether it is alone.
const cutEvery = 250 * time.Millisecond

var errCutOff = fmt.Errorf("%w: this node is cut off from the others", driver.ErrUnavailable)

// watchCut notes when an embedded server has lost all servers that it was joined to,
// and when one is back. What waits for an answer then fails: no majority can give it.
// It does not wait for JetStream, which takes some seconds longer to find that out.
func (r *Relay) watchCut() {
	joined := false
	r.every(cutEvery, func(time.Time) {
		alone := r.server.nats.NumRoutes() == 0
		joined = joined || !alone
		cut := joined && alone
		r.cut.Store(cut)
		if cut {
			r.setAway(true, errCutOff) // until JetStream has answered
			r.acks.fail(time.Now(), errCutOff)
		}
	})
}

// mostMisses is how many checks in a row may fail before JetStream counts as away:
// when a node dies, the others choose a new leader within some seconds, and queues
// and histories whose leaders are elsewhere go on meanwhile.
const mostMisses = 3

// goneMisses is after how many of them in a row nothing is handed to JetStream: there
// is no majority, which would have chosen a leader by then.
const goneMisses = 6

var errGone = fmt.Errorf("%w: JetStream has not answered for some time", driver.ErrUnavailable)

// checkJetStream finds out whether JetStream can keep something now. Where it
// never was there, as on a NATS server without it, that is no fault.
func (r *Relay) checkJetStream(ctx context.Context) {
	err := r.askJetStream(ctx)
	if err == nil {
		r.misses, r.present = 0, true
	} else {
		r.misses++
	}
	r.gone.Store(r.present && r.misses >= goneMisses)
	switch {
	case err == nil && r.cut.Load(): // it has not noticed yet
	case err != nil && !r.present && r.server == nil:
	case err != nil && r.present && r.misses < mostMisses:
	default:
		r.setAway(err != nil, err)
	}
}

func (r *Relay) setAway(away bool, err error) {
	switch {
	case r.away.Swap(away) == away:
	case away:
		r.log.Warn("JetStream is away; queues and histories refuse messages until it is back", "error", err)
	default:
		r.suspect()
		r.log.Info("JetStream is there")
	}
}

func (r *Relay) askJetStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkEvery)
	defer cancel()
	msg, err := r.conn.RequestWithContext(ctx, "$JS.API.INFO", nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return errors.New("nobody answers for JetStream")
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
