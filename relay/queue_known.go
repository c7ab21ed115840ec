package relay

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream notes a delivery some time after it happened, and forgets those that it had
// not noted when a consumer gets another leader or its server dies. They come again as if
// they were new. So each node remembers up to where it got messages of each consumer; and
// after another leader was chosen the nodes are asked, as a message may have been delivered
// by any of them.

const (
	deliveredSubject = "delivered"
	// maxKnown bounds the consumers that are remembered. Beyond, all are forgotten, and
	// this node says for a time that it does not know.
	maxKnown = 100_000
	// youngFor is for how long a node that had a bad end does not know what it delivered.
	youngFor = 2 * time.Minute
	// maxDoubts is how many consumers are asked about at a time.
	maxDoubts = 16
	// recentLeader is for how long after an election a node that did not read before asks.
	recentLeader = 5 * time.Minute
	// newConsumer is how old a consumer is at most whose first leader was just chosen.
	newConsumer = 10 * time.Second
)

// knownConsumers remembers what of each consumer was delivered to this node.
type knownConsumers struct {
	link    *link
	members *members
	asking  chan struct{} // has room for those that may be asked about at a time
	// elections are those of all that this node waits for.
	elections *elections

	mu        sync.Mutex // guards the following
	all       map[string]*knownConsumer
	forgotten time.Time
}

// knownConsumer is one of them.
type knownConsumer struct {
	stream string
	key    string // the subject of pull requests

	mu      sync.Mutex // guards the following
	created time.Time  // another consumer of the same name was made later
	leader  string
	elected string // the last leader that was heard of, or "" where there is none
	upTo    uint64 // the last message of the stream that came, not counting those that came again
	doubted uint64 // messages up to it may have been delivered by any node
	doubts  int    // counts up with each doubt
}

func newKnownConsumers(l *link, m *members, e *elections) *knownConsumers {
	return &knownConsumers{link: l, members: m, elections: e, asking: make(chan struct{}, maxDoubts), all: make(map[string]*knownConsumer)}
}

// begin listens to elections, and to what other nodes ask.
func (k *knownConsumers) begin() error {
	if _, err := k.link.conn.Subscribe(consumerLeaderElected+"*.*", k.elected); err != nil {
		return err
	}
	return k.members.HandleRequest(deliveredSubject, k.answer)
}

// look returns what is known of a consumer that this node is about to read from, and
// whether it is the first time.
func (k *knownConsumers) look(stream string, info *jetstream.ConsumerInfo) (known *knownConsumer, first bool) {
	key := pullSubject(stream, info.Name)
	k.mu.Lock()
	c := k.all[key]
	isNew := c == nil
	if isNew {
		if len(k.all) >= maxKnown {
			clear(k.all)
			k.forgotten = time.Now()
		}
		c = &knownConsumer{stream: stream, key: key}
		k.all[key] = c
	}
	k.mu.Unlock()
	leader, recent := leaderOfConsumer(info), false
	if info.Cluster != nil {
		recent = info.Cluster.LeaderSince == nil || time.Since(*info.Cluster.LeaderSince) < recentLeader
	}
	c.mu.Lock()
	remade := !c.created.Equal(info.Created)
	if remade {
		c.upTo, c.doubted = 0, 0
	}
	changed := c.leader != leader
	c.created, c.leader, c.elected = info.Created, leader, leader
	c.mu.Unlock()
	switch {
	case (isNew || remade) && time.Since(info.Created) < newConsumer:
	case isNew && recent, !isNew && changed:
		k.doubt(c)
	}
	return c, isNew
}

// again has everything be asked about when it is next read from: the server may be another
// one, or may have died.
func (k *knownConsumers) again() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.all {
		c.mu.Lock()
		c.leader = "unknown"
		c.mu.Unlock()
	}
}

// elected is called with the advisory that a consumer has a leader.
func (k *knownConsumers) elected(msg *nats.Msg) {
	stream, consumer, _ := strings.Cut(strings.TrimPrefix(msg.Subject, consumerLeaderElected), ".")
	k.mu.Lock()
	c := k.all[pullSubject(stream, consumer)]
	k.mu.Unlock()
	if c == nil {
		return
	}
	var advisory struct {
		Leader string `json:"leader"`
	}
	_ = json.Unmarshal(msg.Data, &advisory) // without a name it is another leader
	c.mu.Lock()
	first := advisory.Leader == c.leader && time.Since(c.created) < newConsumer
	c.leader, c.elected = advisory.Leader, advisory.Leader
	c.mu.Unlock()
	if !first {
		k.elections.note(c.key, time.Now())
		k.doubt(c)
	}
}

// doubt has all messages count as perhaps delivered, until it is known which may be.
func (k *knownConsumers) doubt(c *knownConsumer) {
	c.mu.Lock()
	c.doubts++
	doubt := c.doubts
	c.doubted = math.MaxUint64
	c.mu.Unlock()
	k.link.background.Go(func() {
		for {
			upTo, err := k.ask(c)
			c.mu.Lock()
			settled := err == nil || c.doubts != doubt
			leader := c.leader
			if err == nil && c.doubts == doubt {
				c.doubted = upTo
			}
			c.mu.Unlock()
			k.link.log.Debug("a consumer has another leader, so messages may come again", "consumer", c.key, "leader", leader, "up_to", upTo, "error", err)
			if settled {
				return
			}
			select {
			case <-k.link.ctx.Done():
				return
			case <-time.After(reopenWait):
			}
		}
	})
}

// ask returns up to where messages may have been delivered: as far as the nodes got any, or
// where one does not know, as far as the stream goes.
func (k *knownConsumers) ask(c *knownConsumer) (upTo uint64, err error) {
	select {
	case k.asking <- struct{}{}:
		defer func() { <-k.asking }()
	case <-k.link.ctx.Done():
		return 0, k.link.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(k.link.ctx, setupTimeout)
	defer cancel()
	replies, missing := k.members.Request(ctx, deliveredSubject, []byte(c.key))
	upTo, known := parseDelivered(k.answer([]byte(c.key)))
	known = known && len(missing) == 0 && !k.members.replacedLately()
	for _, reply := range replies {
		theirs, sure := parseDelivered(reply.Body)
		upTo, known = max(upTo, theirs), known && sure
	}
	if known {
		return upTo, nil
	}
	info, err := k.link.lookAt(ctx, c.stream)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

// answer says up to where this node got messages of a consumer; nothing where it does not
// know.
func (k *knownConsumers) answer(key []byte) []byte {
	k.mu.Lock()
	c, forgotten := k.all[string(key)], k.forgotten
	k.mu.Unlock()
	if k.link.diedBefore(youngFor) || time.Since(forgotten) < youngFor {
		return nil
	}
	if c == nil {
		return []byte{'0'}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return strconv.AppendUint(nil, c.upTo, 10)
}

func parseDelivered(body []byte) (upTo uint64, ok bool) {
	upTo, err := strconv.ParseUint(string(body), 10, 64)
	return upTo, err == nil
}

// ledByOther reports whether a consumer has had another leader elected than one.
func (c *knownConsumer) ledByOther(than string) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elected != "" && c.elected != than
}

// came notes a message, and reports whether it may have been delivered before, though
// JetStream takes it for new.
func (c *knownConsumer) came(meta *nats.MsgMetadata) bool {
	seq := meta.Sequence.Stream
	c.mu.Lock()
	defer c.mu.Unlock()
	known := meta.NumDelivered <= 1 && (seq <= c.upTo || seq <= c.doubted)
	c.upTo = max(c.upTo, seq)
	return known
}
