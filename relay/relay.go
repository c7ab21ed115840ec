package relay

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// Options say how to reach a NATS server.
type Options struct {
	// URL is one or more server URLs, separated by commas.
	URL string
	// CredentialsFile, Token, User and Password authenticate; use what the server wants.
	CredentialsFile, Token, User, Password string
	// TLS is used when not nil, or when the URL says tls.
	TLS *tls.Config
	// Prefix begins all subjects. Default [DefaultPrefix].
	Prefix string
	// Name is what people call this node. Default a random one.
	Name string
	// Queues say how JetStream keeps queues.
	Queues QueueSettings
	// Histories say how JetStream keeps histories.
	Histories HistorySettings
	// Logger reports lost and restored connections. Default slog.Default.
	Logger *slog.Logger
}

// Relay is a driver.Bus over one NATS connection. It is safe for concurrent use.
type Relay struct {
	prefix string
	log    *slog.Logger
	conn   *nats.Conn
	server *Server // nil when external
	id     string  // begins the ids of messages that came without, and names the node to others
	name   string  // for people
	ids    atomic.Uint64

	js      jetstream.JetStream
	queues  QueueSettings
	acks    acks
	streams streams
	memory  atomic.Bool // some node keeps queue messages in memory
	nodes   nodes
	crashed time.Time // what was stored before may have been delivered before

	lanes       *lanes
	histories   map[string]*history // by policy
	settings    HistorySettings
	interestsMu sync.Mutex
	interests   map[string]*interest // those of histories, by pattern
	suspected   atomic.Bool          // live messages may have been missed
	filled      atomic.Int64         // messages that were fetched since they did not arrive
	misplaced   atomic.Int64         // live messages that named a history and were not of its stream

	asking   pending[*appRequest]
	natives  natives
	outgoing outgoing
	writer   sync.WaitGroup
	lost     atomic.Int64 // messages that could not be written to the connection
	offline  atomic.Bool  // the connection is away; asking it could mean to wait for a write
	away     atomic.Bool  // JetStream does not answer
	gone     atomic.Bool  // it has not for so long that nothing is handed to it
	cut      atomic.Bool  // this node's server has lost all others that it was joined to
	misses   int          // of the watch alone: checks without an answer
	present  bool         // of the watch alone: JetStream has answered before

	readersMu sync.Mutex
	readers   map[*reader]struct{}

	ctx        context.Context // ends with the relay
	cancel     context.CancelFunc
	background sync.WaitGroup

	lostForGood chan struct{} // closed when NATS ended the connection and it is not made again
	lostError   error         // why, then
}

const (
	// pendingMessages and pendingBytes bound what waits between NATS and the
	// router for one interest.
	pendingMessages = 65536
	pendingBytes    = 64 << 20
	// pingEvery is how often the server is asked whether it is there; the third
	// question without an answer ends the connection, and so does a write that takes
	// longer than writeTimeout.
	pingEvery    = 5 * time.Second
	writeTimeout = 10 * time.Second
)

// Dial connects to an external server. The first connection has to succeed;
// from then on lost connections are made again, with jitter, for ever.
func Dial(o Options) (*Relay, error) {
	if o.URL == "" {
		return nil, errors.New("relay: no NATS URL")
	}
	return connect(o, o.URL, nil)
}

func connect(o Options, url string, server *Server) (*Relay, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := checkPrefix(o.Prefix); err != nil {
		return nil, err
	}
	o.Queues.setDefaults()
	o.Histories.setDefaults()
	r := &Relay{prefix: o.Prefix, log: o.Logger, server: server, id: "n" + rand.Text()[:10], queues: o.Queues, readers: make(map[*reader]struct{}), lostForGood: make(chan struct{})}
	if r.name = o.Name; r.name == "" {
		r.name = r.id
	}
	r.streams.known = make(map[string]*knownStream)
	r.histories, r.settings = newHistories(o.Prefix, o.Histories.Policies), o.Histories
	r.interests, r.lanes = make(map[string]*interest), newLanes()
	r.outgoing.wake = make(chan struct{}, 1)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if server != nil && server.unclean {
		r.crashed = server.started
	}
	options := []nats.Option{
		nats.Name("stompbox"), nats.NoEcho(), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ClosedHandler(func(c *nats.Conn) { r.ended(c.LastError()) }),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(500*time.Millisecond, time.Second),
		nats.Timeout(5 * time.Second), nats.ReconnectBufSize(-1),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(writeTimeout),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			r.offline.Store(true)
			r.disconnected()
			if err != nil {
				r.log.Warn("lost NATS; local topics go on, other nodes are out of reach until it is back", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			r.offline.Store(false)
			r.suspect()
			r.log.Info("NATS is back", "url", c.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			if errors.Is(err, nats.ErrSlowConsumer) {
				r.suspect()
			}
			r.log.Warn("NATS reported an error", "subject", subject, "error", err)
		}),
	}
	if server != nil {
		options = append(options, nats.InProcessServer(server.nats))
	}
	if o.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(o.CredentialsFile))
	}
	if o.Token != "" {
		options = append(options, nats.Token(o.Token))
	}
	if o.User != "" {
		options = append(options, nats.UserInfo(o.User, o.Password))
	}
	if o.TLS != nil {
		options = append(options, nats.Secure(o.TLS))
	}
	conn, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fmt.Errorf("relay: cannot connect to NATS: %w", err)
	}
	r.conn = conn
	if err := r.begin(); err != nil {
		r.cancel()
		conn.Close()
		return nil, fmt.Errorf("relay: %w", err)
	}
	return r, nil
}

// begin makes what queues need of the connection.
func (r *Relay) begin() error {
	var err error
	if r.js, err = jetstream.New(r.conn); err != nil {
		return err
	}
	if err := r.acks.begin(r.conn, r.acks.answered); err != nil {
		return err
	}
	if err := r.asking.begin(r.conn, r.appAnswered); err != nil {
		return err
	}
	if err := r.watchMemory(); err != nil {
		return err
	}
	if err := r.joinNodes(); err != nil {
		return err
	}
	r.checkJetStream(r.ctx)
	r.background.Go(r.janitor)
	r.background.Go(r.watch)
	if r.server != nil && r.server.clustered {
		r.background.Go(r.watchCut)
	}
	for lane := range laneCount {
		r.background.Go(func() { r.lanes.run(r.ctx, lane) })
	}
	r.writer.Go(func() { r.outgoing.run(r.conn.PublishMsg, r.countLost) })
	return nil
}

// every calls do again and again until the relay ends, never twice at a time.
func (r *Relay) every(interval time.Duration, do func(now time.Time)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case now := <-tick.C:
			do(now)
		}
	}
}

// MaxPayload is the largest message that the server takes, in octets, headers included.
func (r *Relay) MaxPayload() int64 { return r.conn.MaxPayload() }

// Ready reports whether the server can be reached now, and what it has to keep can
// be kept.
func (r *Relay) Ready() bool { return !r.offline.Load() && !r.away.Load() && !r.cut.Load() }

// Publish hands a message to the other nodes with an interest in it, and does not
// wait for the link to them. It fails when the server is out of reach, or the link
// is so slow that too much waits already: nothing is kept for later.
func (r *Relay) Publish(m *driver.Message) error {
	if err := checkKey(m.Key); err != nil {
		return err
	}
	if r.server != nil && r.server.private {
		return nil // nobody but this node can reach the server
	}
	if r.offline.Load() {
		return nats.ErrDisconnected
	}
	if r.answerNative(m) {
		return nil
	}
	return r.outgoing.push(encode(r.prefix, m))
}

func (r *Relay) countLost(err error) {
	if r.lost.Add(1) == 1 {
		r.log.Warn("a message could not be handed to other nodes; stompbox_relay_lost_total counts the next ones", "error", err)
	}
}

// Stats are counts since the relay began.
type Stats struct {
	Lost   int64 // messages that could not be written to NATS
	Filled int64 // messages of histories that were fetched since they did not arrive
	Nodes  int   // other nodes that are known now
	Ready  bool
}

// Stats returns the counts as they are now. It is safe for concurrent use.
func (r *Relay) Stats() Stats {
	return Stats{Lost: r.lost.Load(), Filled: r.filled.Load(), Nodes: r.nodes.count(), Ready: r.Ready()}
}

// Flush returns when the server has taken all before it, and so have the servers
// of the other nodes, or with ctx's error.
// While the server is out of reach it returns nil at once: interests are
// declared again before anything else when it is back.
func (r *Relay) Flush(ctx context.Context) error {
	if !r.conn.IsConnected() {
		return nil
	}
	if err := r.conn.FlushWithContext(ctx); err != nil {
		return err
	}
	return r.flushNodes(ctx)
}

// nextID makes an id for a message of a program that gave it none.
func (r *Relay) nextID() string { return r.id + "-" + strconv.FormatUint(r.ids.Add(1), 36) }

// Lost is closed when NATS has ended the connection in a way after which the client
// library does not connect again, such as a line that it takes for an error of the
// protocol. LostError says why. A node without NATS is half alive, so its process has to
// end; package relay does not make the interests of a connection again on another one.
func (r *Relay) Lost() <-chan struct{} { return r.lostForGood }

// LostError says why NATS ended the connection, once Lost is closed.
func (r *Relay) LostError() error {
	select {
	case <-r.lostForGood:
		return r.lostError
	default:
		return nil
	}
}

// ended is called once, when the connection is closed for good.
func (r *Relay) ended(err error) {
	r.offline.Store(true)
	if r.ctx.Err() != nil {
		return // by Close
	}
	r.lostError = fmt.Errorf("relay: NATS ended the connection for good: %w", cmp.Or(err, nats.ErrConnectionClosed))
	r.log.Error("NATS ended the connection for good; this node cannot go on and has to be started again", "error", err)
	close(r.lostForGood)
}

// Close ends the connection and, where it is embedded, the server.
func (r *Relay) Close() {
	r.cancel()
	r.background.Wait()
	r.outgoing.close()
	r.writer.Wait()
	r.leaveNodes()
	closed := fmt.Errorf("%w: the relay is closed", driver.ErrUnavailable)
	r.acks.fail(time.Now().Add(time.Hour), closed)
	r.failRequests(time.Now().Add(time.Hour), closed)
	r.natives.close()
	r.offline.Store(true)
	_ = r.conn.FlushTimeout(time.Second) // acknowledgements that were given are not kept back
	r.conn.Close()
	if r.server != nil {
		r.server.close()
	}
}
