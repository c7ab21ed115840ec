package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

// Options say how to reach a NATS server.
type Options struct {
	// URL is one or more server URLs, separated by commas.
	URL string
	// CredentialsFile, Token, User and Password authenticate; set what the server requires.
	CredentialsFile, Token, User, Password string
	// TLS is used if it is not nil or the URL begins with tls.
	TLS *tls.Config
	// Prefix begins all subjects. Default [DefaultPrefix].
	Prefix string
	// Name is the name of this node for people. Default a random one.
	Name string
	// Queues say how JetStream keeps queues.
	Queues QueueSettings
	// Histories say how JetStream keeps histories.
	Histories HistorySettings
	// Logger reports lost and restored connections. Default slog.Default.
	Logger *slog.Logger
}

// repairTimeout bounds what a start does about a bad end of the last process.
const repairTimeout = 30 * time.Second

// Relay carries a broker's messages over one NATS connection. Its parts, which
// [Relay.Driver] gives to the broker, each own their state and lock. It is safe for
// concurrent use.
type Relay struct {
	link        *link
	acks        *acks
	members     *members
	requests    *requests
	bus         *bus
	readers     *readers
	queues      *queueStore
	former      *formerQueues
	unread      *unread
	histories   *historyStore
	idempotency *idempotency
	bans        *bans
	archive     *archive
	copies      *copies
	inventories *inventories // of the embedded server, else nil
	health      *health
}

// Dial connects to an external server. The first connection must succeed. After that, lost
// connections are restored forever, with jitter.
func Dial(o Options) (*Relay, error) {
	if o.URL == "" {
		return nil, errors.New("relay: no NATS URL")
	}
	return connect(o, o.URL, nil)
}

// Check returns an error if the options are invalid for any server.
func (o Options) Check() error { return checkPrefix(cmp.Or(o.Prefix, DefaultPrefix)) }

func connect(o Options, url string, server *Server) (*Relay, error) {
	o.Prefix, o.Logger = cmp.Or(o.Prefix, DefaultPrefix), cmp.Or(o.Logger, slog.Default())
	o.Queues, o.Histories = o.Queues.WithDefaults(), o.Histories.WithDefaults()
	if err := o.Check(); err != nil {
		return nil, err
	}
	r := newRelay(o, server)
	if err := r.link.connect(o, url); err != nil {
		return nil, err
	}
	if err := r.begin(); err != nil {
		r.link.stop()
		r.link.conn.Close()
		return nil, fmt.Errorf("relay: %w", err)
	}
	return r, nil
}

// newRelay makes the parts, from the lowest up.
func newRelay(o Options, server *Server) *Relay {
	l := newLink(o, server)
	r := &Relay{link: l, acks: &acks{link: l}, members: newMembers(l), requests: newRequests(l)}
	r.copies = newCopies(l, r.members)
	r.bus = newBus(l, r.members, r.requests.external)
	dedup := newDedupJournal(l, r.acks, o.Queues)
	r.readers = newReaders(l, r.acks, dedup, newKnownConsumers(l, r.members, &r.acks.elections), o.Queues.AckWait)
	streams := newHistoryStreams(l, o.Histories, o.Queues.DedupWindow)
	if streams.confirmed != nil {
		r.acks.confirmed = streams.confirmed.note
	}
	r.queues = newQueueStore(l, r.acks, r.readers, dedup, streams, o.Queues)
	r.former = newFormerQueues(r.queues)
	r.queues.streams.confirmed = streams.confirmed
	streams.elections, r.queues.streams.elections = &r.acks.elections, &r.acks.elections
	r.histories = newHistoryStore(l, streams, r.bus, r.readers)
	r.bus.past = r.histories
	r.bans = newBans(l, r.queues.streams.settings.Replicas)
	r.bans.copies, streams.copies, r.queues.streams.copies, dedup.copies = r.copies, r.copies, r.copies, r.copies
	r.archive = &archive{link: l, readers: r.readers, queues: r.queues.streams, former: r.former, histories: streams, dedup: dedup, bans: r.bans, copies: r.copies}
	r.unread = &unread{link: l, archive: r.archive, histories: streams, transient: o.Queues.Transient}
	if server != nil {
		r.inventories = newInventories(l, r.archive)
	}
	r.idempotency = newIdempotency(l, o.Queues.Replicas)
	r.idempotency.copies = r.copies
	r.health = &health{link: l, acks: r.acks, members: r.members, readers: r.readers}
	if l.clustered() {
		r.health.joining.begin(server)
	}
	l.onLost = []func(){r.acks.disconnected, r.requests.disconnected, r.queues.streams.forget, r.former.forget, streams.forget, r.readers.markLost}
	l.onMissed = []func(){r.histories.scheduleRepair, r.queues.dedup.reload, r.bans.mayHaveMissed}
	return r
}

// begin makes what the parts need of the connection.
func (r *Relay) begin() error {
	for _, begin := range []func() error{r.acks.begin, r.requests.begin, r.queues.memory.begin, r.queues.dedup.begin, r.archive.begin, r.copies.begin, r.members.join, r.readers.known.begin} {
		if err := begin(); err != nil {
			return err
		}
	}
	r.health.check(r.link.ctx)
	r.repairAfterCrash()
	if r.inventories != nil && !r.link.clustered() {
		r.inventories.check(time.Now())
	}
	background := &r.link.background
	background.Go(r.janitor)
	background.Go(r.watch)
	background.Go(r.sweep)
	background.Go(r.unread.run)
	if disk := r.link.disk; disk != nil {
		disk.check(time.Now())
		background.Go(func() { r.link.every(diskEvery, disk.check) })
	}
	if r.link.clustered() {
		background.Go(r.health.watchPartition)
	}
	r.bus.workers.start(r.link.ctx, background)
	return nil
}

// repairAfterCrash deals with what a bad end of the last process left.
func (r *Relay) repairAfterCrash() {
	server := r.link.server
	if server == nil {
		return
	}
	if server.data.unclean && !server.clustered {
		ctx, cancel := context.WithTimeout(r.link.ctx, repairTimeout)
		defer cancel()
		if err := r.queues.deleteConsumers(ctx); err != nil {
			r.link.log.Warn("the consumers of queues could not be made again after a bad end; what they took for acknowledged may stay hidden until the next start", "error", err)
			return
		}
	}
	server.served = true
}

// Driver returns the relay as a backend of the broker.
func (r *Relay) Driver() driver.Driver {
	return driver.Driver{
		Bus: r.bus, Queues: r.queues, FormerQueues: r.former, QueueMemory: r.queues, QueueCounter: r.queues, HistoryCounter: r.histories, Histories: r.histories, Requests: r.requests,
		Cluster: r.members, Idempotency: r.idempotency, QueueAdmin: queueAdmin{r.queues},
		Archive: r.archive, Readiness: r,
		HistoryAdmin: historyAdmin{r.histories}, Bans: r.bans,
	}
}

// MaxPayload is the largest message that the server accepts, in bytes, including headers.
func (r *Relay) MaxPayload() int64 { return r.link.conn.MaxPayload() }

// Ready reports whether the server can be reached, can store messages, and is up to date with
// the others of its cluster.
func (r *Relay) Ready() bool {
	return r.link.state() == connected && r.link.checkWrite() == nil && !r.health.joining.behind.Load()
}

// NotReady says what is wrong where the relay is not ready, or is empty.
func (r *Relay) NotReady() string {
	if r.Ready() {
		return ""
	}
	return "NATS or its JetStream is out of reach"
}

// Stats are counts since the relay began.
type Stats struct {
	Lost   int64 // messages that could not be written to NATS
	Newer  int64 // messages that a newer version wrote, and this one cannot read
	Filled int64 // messages of histories that were fetched since they did not arrive
	Nodes  int   // other nodes that are known now
	// NameConflicts are the names that more than one live node has.
	NameConflicts int
	Ready         bool
	// RecordsRemoved are records of Idempotency-Keys that were removed to make room, of the users
	// who had most.
	RecordsRemoved int64
}

// Stats returns the current counts. It is safe for concurrent use.
func (r *Relay) Stats() Stats {
	return Stats{Lost: r.link.lost.Load(), Newer: r.link.newer.Load(), Filled: r.histories.filled.Load(), Nodes: r.members.count(), NameConflicts: r.nameConflicts(), Ready: r.Ready(), RecordsRemoved: r.idempotency.removed.Load()}
}

// nameConflicts counts the names that more than one live node has. Servers of a cluster whose
// names are the same refuse each other, so their nodes may not hear of each other.
func (r *Relay) nameConflicts() int {
	n := r.members.conflicts()
	if n == 0 && r.link.server != nil && r.link.server.log.twinWithin(lostAfter) {
		n = 1
	}
	return n
}

// ClientURL is the URL of the embedded server for other programs, or "" if the server is external
// or does not listen.
func (r *Relay) ClientURL() string {
	if r.link.server == nil {
		return ""
	}
	return r.link.server.running().ClientURL()
}

// Lost is closed if NATS ends the connection and its client library does not reconnect, for
// example after a protocol error. LostError says why. The process should then exit, because the
// relay does not restore its interests on a new connection.
func (r *Relay) Lost() <-chan struct{} { return r.link.ended }

// LostError says why NATS ended the connection, once Lost is closed.
func (r *Relay) LostError() error {
	select {
	case <-r.link.ended:
		return r.link.endError
	default:
		return nil
	}
}

// Close ends the connection and an embedded server.
func (r *Relay) Close() {
	r.readers.awaitAllReturned()
	r.link.stop()
	r.inventories.stop()
	r.members.leave()
	closed := fmt.Errorf("%w: the relay is closed", driver.ErrUnavailable)
	r.acks.fail(time.Now().Add(time.Hour), closed)
	r.requests.fail(time.Now().Add(time.Hour), closed)
	r.requests.external.close()
	r.link.close()
	r.histories.streams.confirmed.close()
}

// streamBase begins the names of streams.
func streamBase(prefix string) string { return strings.ReplaceAll(prefix, ".", "_") }
