package relay

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
)

// durableTrims finds out what a history dropped before a durable subscription that is
// connected got it: its client reads slowly, and more comes than the history keeps. It asks
// only where the reader had nothing asked for, and some may be gone, so who keeps up costs
// nothing. Only the goroutine that is given the messages uses it.
type durableTrims struct {
	epoch  string    // of the stream
	last   uint64    // the last message that came for the first time
	stored time.Time // when it was stored
	waited bool      // the reader has had nothing asked for since the last look
	drops  drops
	gap    bool // the stream begins after the last message
}

// next takes a message that comes for the first time, and looks whether some between it and
// the message before may be gone.
func (d *durableTrims) next(s *durableSource, q *reader, meta *nats.MsgMetadata, epoch string) {
	if epoch != d.epoch {
		*d = durableTrims{epoch: epoch, gap: d.gap}
	}
	d.waited = d.waited || q.takeWaited()
	if d.waited && d.last > 0 && meta.Sequence.Stream > d.last+1 && d.mayBeGone(s.history.policy, meta) {
		d.look(s, meta)
	}
	if seq := meta.Sequence.Stream; seq > d.last {
		d.last, d.stored = seq, meta.Timestamp
	}
}

// mayBeGone reports whether the limits can have been reached. Each message that went beyond
// max_messages, and has replaced one that did not come, is still to come. JetStream counts what is
// to come some time after it has stored it, so half of them is enough, and less where the message was stored lately.
func (d *durableTrims) mayBeGone(policy driver.HistoryPolicy, meta *nats.MsgMetadata) bool {
	replaced := policy.MaxMessages > 0 && (meta.NumPending+1 >= uint64(policy.MaxMessages)/2 || time.Since(meta.Timestamp) < clocksDiffer)
	return replaced || policy.MaxBytes > 0 || policy.MaxAge > 0 && time.Since(d.stored) > policy.MaxAge-clocksDiffer
}

func (d *durableTrims) look(s *durableSource, meta *nats.MsgMetadata) {
	d.waited = false
	looked := d.drops.known
	if !looked {
		d.drops = drops{streams: s.store.streams, history: s.history, stream: meta.Stream}
	}
	more, err := d.drops.look(s.store.link.ctx, []*storedMessage{{seq: meta.Sequence.Stream}})
	switch {
	case err != nil:
		d.drops.known, d.gap = false, true // what cannot be found out is taken for a gap
	case more || !looked:
		d.gap = d.gap || d.drops.first > d.last+1
		s.trims.Store(&trimDetector{drops: d.drops, sure: d.last})
	}
}

// takeGap reports whether the next message comes after a gap, once.
func (d *durableTrims) takeGap() bool {
	gap := d.gap
	d.gap = false
	return gap
}
