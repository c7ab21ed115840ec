package relay

import (
	"context"
	"encoding/json"
	"errors"
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
}

// watchRoutes notes that a link between embedded servers was made again: what went
// over the old one last may not have arrived.
func (h *health) watchRoutes() {
	if !h.link.clustered() {
		return
	}
	if made := h.link.server.newRoutes(); made {
		h.members.hello()
		h.link.mayHaveMissed()
	}
}

// watchPartition notes when an embedded server has lost all servers that it was joined
// to, and when one is back. What waits for an answer then fails: no majority can give
// it. It does not wait for JetStream, which takes some seconds longer to find that out.
func (h *health) watchPartition() {
	joined := false
	h.link.every(partitionCheckEvery, func(time.Time) {
		alone := h.link.server.running().NumRoutes() == 0
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
