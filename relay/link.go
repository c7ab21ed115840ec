package relay

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// pingEvery is how often the server is asked whether it is there; the third
	// question without an answer ends the connection, and so does a write that takes
	// longer than writeTimeout.
	pingEvery    = 5 * time.Second
	writeTimeout = 10 * time.Second
)

// link is this node's connection to NATS: the connection, what waits to be written to
// it, and the state of both. It knows nothing of what goes over it.
type link struct {
	prefix string
	log    *slog.Logger
	server *Server // nil when external
	disk   *disk   // of the embedded server, else nil
	id     string  // begins the ids of messages that came without, and names the node to others
	name   string  // for people
	conn   *nats.Conn
	js     jetstream.JetStream
	states linkStateMachine
	ids    atomic.Uint64

	writer  *writer
	writing sync.WaitGroup
	lost    atomic.Int64 // messages that could not be written to the connection
	newer   atomic.Int64 // messages that a newer build wrote, and this one cannot read
	denied  atomic.Bool  // NATS does not permit this node to ask for the bucket of bans

	// The callbacks are set before the connection is made, and called by any goroutine.
	onLost   []func() // answers that are waited for do not come any more
	onMissed []func() // live messages may have been missed

	ctx        context.Context // ends with the relay
	cancel     context.CancelFunc
	background sync.WaitGroup

	ended    chan struct{} // closed when NATS ended the connection and it is not made again
	endError error         // why, then
}

func newLink(o Options, server *Server) *link {
	l := &link{prefix: o.Prefix, log: o.Logger, server: server, id: "n" + rand.Text()[:10], name: o.Name, writer: newWriter(), ended: make(chan struct{})}
	if l.name == "" {
		l.name = l.id
	}
	l.states.optional = server == nil
	if server != nil {
		l.disk = newDisk(l, server.failed)
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Servers reads a list of NATS servers, separated by commas, as NATS does: without a scheme it is
// nats. An error may hold a password.
func Servers(list string) iter.Seq2[*url.URL, error] {
	return func(yield func(*url.URL, error) bool) {
		for text := range strings.SplitSeq(list, ",") {
			text = strings.TrimSpace(text)
			if !strings.Contains(text, "://") {
				text = "nats://" + text
			}
			if !yield(url.Parse(text)) {
				return
			}
		}
	}
}

// notConnected says which server could not be reached, and why: NATS's own error says neither.
func notConnected(urls string, err error) error {
	if urls == "" { // the embedded server
		return fmt.Errorf("relay: cannot connect to NATS: %w", err)
	}
	var at []string
	for u, parseErr := range Servers(urls) {
		if parseErr != nil {
			continue
		}
		host := u.Host
		if u.Port() == "" {
			host = net.JoinHostPort(u.Hostname(), "4222")
		}
		if !errors.Is(err, nats.ErrNoServers) {
			at = append(at, host)
			continue
		}
		conn, dialErr := net.DialTimeout("tcp", host, dialAgain)
		if dialErr != nil {
			at = append(at, dialErr.Error())
			continue
		}
		_ = conn.Close()
		at = append(at, host+" takes connections, but does not answer as a NATS server would")
	}
	return fmt.Errorf("relay: cannot connect to NATS (%s): %w", strings.Join(at, "; "), err)
}

// dialAgain is how long it may take to find out why a server cannot be reached.
const dialAgain = 2 * time.Second

// connect makes the connection. The first attempt has to succeed.
func (l *link) connect(o Options, url string) (err error) {
	if l.conn, err = nats.Connect(url, l.options(o)...); err != nil {
		return notConnected(url, err)
	}
	if l.js, err = jetstream.New(l.conn); err != nil {
		l.conn.Close()
		return fmt.Errorf("relay: %w", err)
	}
	l.writing.Go(func() { l.writer.run(l.conn.PublishMsg, l.countLost) })
	return nil
}

// answersWaiting is how many answers to one question, such as the messages of a page of a
// history, may wait to be read. NATS makes room for all of them at each question, 512 KiB by
// default.
const answersWaiting = 2048

func (l *link) options(o Options) []nats.Option {
	options := []nats.Option{
		nats.Name("stompbox"), nats.NoEcho(), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ClosedHandler(func(c *nats.Conn) { l.closed(c.LastError()) }),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(500*time.Millisecond, time.Second),
		nats.Timeout(5 * time.Second), nats.ReconnectBufSize(-1), nats.SyncQueueLen(answersWaiting),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(writeTimeout),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { l.disconnected(err) }),
		nats.ReconnectHandler(func(c *nats.Conn) {
			l.observe(connectionBack, nil)
			l.mayHaveMissed()
			l.log.Info("NATS is back", "url", c.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { l.reported(sub, err) }),
	}
	if l.server != nil {
		options = append(options, nats.InProcessServer(l.server))
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
	return options
}

func (l *link) disconnected(err error) {
	l.observe(connectionLost, nil)
	l.answersLost()
	if err != nil {
		l.log.Warn("lost NATS; local topics go on, other nodes are out of reach until it is back", "error", err)
	}
}

// closed is called once, when the connection is closed for good.
func (l *link) closed(err error) {
	l.observe(connectionLost, nil)
	if l.ctx.Err() != nil {
		return // by close
	}
	l.endError = fmt.Errorf("relay: NATS ended the connection for good: %w", cmp.Or(err, nats.ErrConnectionClosed))
	l.log.Error("NATS ended the connection for good; this node cannot go on and has to be started again", "error", err)
	close(l.ended)
}

func (l *link) reported(sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	if errors.Is(err, nats.ErrSlowConsumer) {
		l.mayHaveMissed()
	}
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "$JS.API.STREAM.INFO."+bansStream(l.prefix)) {
		l.denied.Store(true)
	}
	l.log.Warn("NATS reported an error", "subject", subject, "error", err)
}

// answersLost says that answers which are waited for do not come any more.
func (l *link) answersLost() {
	for _, call := range l.onLost {
		call()
	}
}

// observe notes an event, with its cause where it is a bad one.
func (l *link) observe(e linkEvent, cause error) {
	from, to := l.states.apply(e)
	switch {
	case from == disconnected || to == disconnected || from.storesNothing() == to.storesNothing():
	case to.storesNothing():
		l.log.Warn("JetStream is away; queues and histories refuse messages until it is back", "error", cause)
	default:
		l.mayHaveMissed()
		l.log.Info("JetStream is there")
	}
}

// mayHaveMissed says that live messages may not have arrived: the connection or a route
// between servers was away, or this node was too slow.
func (l *link) mayHaveMissed() {
	for _, call := range l.onMissed {
		call()
	}
}

func (l *link) state() linkState { return l.states.state() }

var (
	errPartitioned  = fmt.Errorf("%w: this node is cut off from the others", driver.ErrUnavailable)
	errNoMajority   = fmt.Errorf("%w: JetStream has not answered for some time", driver.ErrUnavailable)
	errNoJetStream  = fmt.Errorf("%w: JetStream does not answer", driver.ErrUnavailable)
	errDisconnected = fmt.Errorf("%w: the connection to NATS was lost", driver.ErrUnavailable)
)

// checkWrite returns why nothing may be handed to JetStream, or nil.
func (l *link) checkWrite() error {
	switch l.state() {
	case partitioned:
		return errPartitioned
	case unavailable:
		return errNoMajority
	case disconnected:
		return errDisconnected
	}
	if l.disk != nil && l.disk.full.Load() {
		return errDiskFull
	}
	return nil
}

// checkAsk returns an error, and so saves a long wait for one, while JetStream is known
// not to answer.
func (l *link) checkAsk() error {
	switch s := l.state(); {
	case s == disconnected:
		return errDisconnected
	case s.storesNothing():
		return errNoJetStream
	}
	return nil
}

// private reports whether only this node can reach the server.
func (l *link) private() bool { return l.server != nil && l.server.private }

// replicated reports whether several servers may answer for a stream.
func (l *link) replicated() bool { return l.conn.ConnectedClusterName() != "" }

// clustered reports whether the embedded server is one of several.
func (l *link) clustered() bool { return l.server != nil && l.server.clustered }

// crashed is when the embedded server last began after a bad end, in nanoseconds since
// 1970, or 0: JetStream may not know of deliveries before.
func (l *link) crashed() int64 {
	if l.server == nil {
		return 0
	}
	return l.server.data.crashed.Load()
}

// diedBefore reports whether the process before this one had a bad end, not long ago.
func (l *link) diedBefore(within time.Duration) bool {
	return l.server != nil && l.server.data.unclean && time.Since(l.server.data.started) < within
}

// nextID makes an id for a message of a program that gave it none.
func (l *link) nextID() string { return l.id + "-" + strconv.FormatUint(l.ids.Add(1), 36) }

// decode makes the message of a NATS message on a live subject.
func (l *link) decode(msg *nats.Msg) (*driver.Message, bool) {
	if l.tooNew(msg.Header, msg.Subject) {
		return nil, false
	}
	return decode(l.prefix, msg, l.nextID)
}

// every calls do again and again until the relay ends, never twice at a time.
func (l *link) every(interval time.Duration, do func(now time.Time)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case now := <-tick.C:
			do(now)
		}
	}
}

func (l *link) countLost(err error) {
	if l.lost.Add(1) == 1 {
		l.log.Warn("a message could not be handed to other nodes; stompbox_relay_lost_total counts the next ones", "error", err)
	}
}

// stop ends what runs in the background, and writes what waits for that.
func (l *link) stop() {
	l.cancel()
	l.background.Wait()
	l.writer.close()
	l.writing.Wait()
}

// close ends the connection and, where it is embedded, the server.
func (l *link) close() {
	l.observe(connectionLost, nil)
	_ = l.conn.FlushTimeout(time.Second) // acknowledgements that were given are not kept back
	l.conn.Close()
	if l.server != nil {
		l.server.close()
	}
}
