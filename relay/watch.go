package relay

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// checkEvery is how often JetStream is asked whether it is there, and how far its
// histories are.
const checkEvery = 2 * time.Second

// watch looks after what may take a while to answer, until the relay ends.
func (r *Relay) watch() {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		}
		if !r.conn.IsConnected() {
			continue
		}
		r.watchRoutes()
		r.checkJetStream(r.ctx)
		if !r.away.Load() {
			r.checkHistories(r.ctx)
		}
	}
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

// mostMisses is how many checks in a row may fail before JetStream counts as away:
// when a node dies, the others choose a new leader within some seconds, and queues
// and histories whose leaders are elsewhere go on meanwhile.
const mostMisses = 3

// checkJetStream finds out whether JetStream can keep something now. Where it
// never was there, as on a NATS server without it, that is no fault.
func (r *Relay) checkJetStream(ctx context.Context) {
	cut := r.cutOff()
	r.cut.Store(cut)
	err := r.askJetStream(ctx)
	if err == nil {
		r.misses, r.present = 0, true
	} else {
		r.misses++
	}
	away := cut || err != nil
	switch {
	case away && !r.present && r.server == nil:
		return
	case away && !cut && r.present && r.misses < mostMisses:
		return
	case r.away.Swap(away) == away:
		return
	case away:
		r.log.Warn("JetStream is away; queues and histories refuse messages until it is back", "cut off", cut, "error", err)
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

// cutOff reports whether the embedded server has lost all servers that it was
// joined to. JetStream takes some seconds longer to find that out.
func (r *Relay) cutOff() bool {
	return r.server != nil && r.server.clustered && r.server.joined.Load() && r.server.nats.NumRoutes() == 0
}
