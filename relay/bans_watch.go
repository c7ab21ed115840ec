package relay

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// bansUnreadEvery is how often the bucket of bans is looked for until it was read whole, and
	// bansEvery after that, while there is none or it is out of reach.
	bansUnreadEvery = 100 * time.Millisecond
	bansEvery       = 2 * time.Second
	// bansPatience is how long the start of a node waits for what the bucket has.
	bansPatience = 3 * time.Second
	// bansAnswer is how long JetStream may take for an answer about the bucket, before it is
	// asked again. A server that has just begun gives none.
	bansAnswer = 2 * time.Second
	// noJetStreamAfter is how long a server of an external cluster has to say that there is no
	// JetStream. Those that have it may not be there yet.
	noJetStreamAfter = 10 * time.Second
	// banGrace is how long after its end a ban is removed: the clock of the node that does so may
	// be ahead of others'.
	banGrace = time.Hour
)

// WatchBans follows the bucket. See [driver.BanStore].
func (b *bans) WatchBans(watch func(ban []byte), read func()) error {
	b.watch.Store(&watch)
	loaded, patience := make(chan struct{}), bansPatience
	if b.link.checkAsk() != nil {
		patience = 0 // such as the first node of a cluster, which no majority is there for
	}
	b.link.background.Go(func() {
		w := banWatch{bans: b, watch: watch, every: bansUnreadEvery}
		w.read = func() {
			if w.every == bansUnreadEvery {
				w.every = bansEvery
				read()
				close(loaded)
			}
		}
		w.run()
	})
	select {
	case <-loaded:
	case <-b.link.ctx.Done():
	case <-time.After(patience):
		b.link.log.Warn("bans could not be read yet; until then clients cannot connect, since they may be banned")
	}
	return nil
}

// mayHaveMissed has the bucket read again: what others wrote may not have arrived.
func (b *bans) mayHaveMissed() {
	select {
	case b.missed <- struct{}{}:
	default:
	}
}

// banWatch reads the bucket, again and again. It belongs to one goroutine.
type banWatch struct {
	*bans
	watch func(ban []byte)
	read  func() // all that is kept was passed to watch, or nothing keeps bans
	every time.Duration
	none  time.Time // since when the servers say that there is no JetStream, or zero
}

func (w *banWatch) run() {
	for w.link.ctx.Err() == nil {
		w.follow()
		select {
		case <-w.link.ctx.Done():
		case <-w.missed:
		case <-time.After(w.every):
		}
	}
}

// follow reads the bucket until that fails, or some of it may have been missed.
func (w *banWatch) follow() {
	info, err := w.look()
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), w.isNone(err):
		w.read()
		return
	case err != nil:
		return
	}
	ctx, cancel := context.WithCancel(w.link.ctx)
	defer cancel()
	kv, err := w.link.js.KeyValue(ctx, w.bucket())
	if err != nil {
		return
	}
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return
	}
	defer func() { _ = watcher.Stop() }()
	reached := bansReached{last: info.State.LastSeq, lacks: w.lacks}
	for {
		select {
		case entry, ok := <-watcher.Updates():
			if !ok {
				return
			}
			if entry != nil {
				w.learn(kv, entry)
			}
			if reached.note(entry) {
				w.read()
				w.spread(ctx, info)
			}
		case <-reached.again:
			if reached.note(nil) {
				w.read()
				w.spread(ctx, info)
			}
		case <-w.missed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// spread has a bucket of an older version on as many servers as a new one. It is tried once for each
// reading.
func (w *banWatch) spread(ctx context.Context, info *jetstream.StreamInfo) {
	if !w.link.replicated() || info.Config.Replicas >= banReplicas {
		return
	}
	before := info.Config.Replicas
	info.Config.Replicas = banReplicas
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if _, err := w.link.js.UpdateStream(ctx, info.Config); err != nil {
		w.link.log.Debug("bans could not be put on more servers", "replicas", banReplicas, "error", err)
		return
	}
	w.copies.grown(info.Config.Name, before, banReplicas)
}

// look asks the leader of the bucket how far it goes.
func (w *banWatch) look() (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(w.link.ctx, bansAnswer)
	defer cancel()
	return w.link.lookAt(ctx, bansStream(w.link.prefix))
}

// isNone reports whether an error means that nothing keeps bans: an external NATS has no
// JetStream, or not for this node. An embedded one always has it, but not at once.
func (w *banWatch) isNone(err error) bool {
	if w.link.server != nil {
		return false
	}
	if errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || err != nil && w.link.denied.Load() {
		return true
	}
	if !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		w.none = time.Time{}
		return false
	}
	if w.none.IsZero() {
		w.none = time.Now()
	}
	return !w.link.replicated() || time.Since(w.none) >= noJetStreamAfter
}

func (w *banWatch) learn(kv jetstream.KeyValue, entry jetstream.KeyValueEntry) {
	var kept keptBan
	if entry.Operation() != jetstream.KeyValuePut || json.Unmarshal(entry.Value(), &kept) != nil {
		return
	}
	if time.Now().After(kept.Until.Add(banGrace)) {
		_ = kv.Purge(w.link.ctx, entry.Key(), jetstream.LastRevision(entry.Revision())) // or another node has
		return
	}
	w.watch(kept.Ban)
}

// lacks reports whether the leader says that the bucket has no entry with a number any more.
func (w *banWatch) lacks(number uint64) bool {
	query, err := json.Marshal(map[string]uint64{"seq": number})
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(w.link.ctx, bansAnswer)
	defer cancel()
	msg, err := w.link.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+bansStream(w.link.prefix), query)
	if err != nil {
		return false
	}
	var answer struct {
		Error *apiError `json:"error"`
	}
	return json.Unmarshal(msg.Data, &answer) == nil && answer.Error != nil && answer.Error.ErrCode == errCodeNoMessage
}

// bansReached finds out when all that the leader had was read. The server that is read from may
// be behind the leader, and then takes for the end what is not.
type bansReached struct {
	last   uint64 // the number of the leader's last entry
	number uint64 // the highest that was read
	ended  bool   // the server that is read from had no more
	lacks  func(number uint64) bool
	again  <-chan time.Time // when to look again
}

// note is called with what was read, nil at its end, and reports whether all of it was read.
func (r *bansReached) note(entry jetstream.KeyValueEntry) bool {
	if entry != nil {
		r.number = max(r.number, entry.Revision())
	} else {
		r.ended = true
	}
	if !r.ended {
		return false
	}
	if r.number >= r.last || entry == nil && r.lacks(r.last) {
		r.again = nil
		return true
	}
	r.again = time.After(bansUnreadEvery)
	return false
}
