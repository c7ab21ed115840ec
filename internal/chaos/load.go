package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
)

// run is one run: the nodes, the clients, and what they saw.
type run struct {
	cluster *cluster
	ledger  *ledger
	seed    uint64
	out     io.Writer
	tokens  map[string]string // by user

	saying  sync.Mutex
	senders sync.WaitGroup
	readers sync.WaitGroup
	// loading ends first, and has senders end once their last message is confirmed;
	// settling ends those that are still not; reading ends the readers.
	loading, settling, reading context.Context
}

// client is one of the load. What it does at random comes from the seed and its name.
type client struct {
	*run
	name      string
	user      string
	webSocket bool
	random    *rand.Rand
}

const (
	appTimeout = 10 * time.Second
	// appSlack is how long an error may take beyond that, on a machine that is slow.
	appSlack = 15 * time.Second
)

func (r *run) client(name, user string) *client {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	random := rand.New(rand.NewPCG(r.seed, h.Sum64()))
	return &client{run: r, name: name, user: user, webSocket: random.IntN(3) > 0, random: random}
}

func (r *run) say(format string, args ...any) {
	r.saying.Lock()
	defer r.saying.Unlock()
	_, _ = fmt.Fprintf(r.out, "%9s  %s\n", clock(r.ledger.now()), fmt.Sprintf(format, args...))
}

// users are all that clients log in as.
var users = []string{"sender", "reader", "alice", "bob", "server"}

// signTokens makes the tokens of the users.
func (r *run) signTokens() error {
	key, err := auth.NewSecretKey("", "HS256", []byte(secret))
	if err != nil {
		return err
	}
	r.tokens = make(map[string]string)
	for _, user := range users {
		if r.tokens[user], err = auth.Sign(key, auth.Claims{Subject: user, TTL: 24 * time.Hour, Grants: auth.AllGrants()}); err != nil {
			return err
		}
	}
	return nil
}

// upTo returns a time between zero and d.
func (c *client) upTo(d time.Duration) time.Duration { return time.Duration(c.random.Int64N(int64(d))) }

func (c *client) chance(percent int) bool { return c.random.IntN(100) < percent }

// elsewhere connects to any node, until ctx is done.
func (c *client) elsewhere(ctx context.Context) *link {
	for ctx.Err() == nil {
		l, err := c.dial(ctx, c.random.IntN(nodeCount), c.user, c.webSocket)
		if err == nil {
			return l
		}
		sleep(ctx, 100*time.Millisecond+c.upTo(200*time.Millisecond))
	}
	return nil
}

// startReaders starts all that subscribes.
func (r *run) startReaders() {
	start := func(c *client, read func(*client)) { r.readers.Go(func() { read(c) }) }
	for i, queue := range append(workQueues, chainQueues...) {
		for k := range 3 {
			consumers := r.client(fmt.Sprintf("consumer %d of %s", k, queue), "reader")
			if queue == chainQueues[0] {
				start(consumers, func(c *client) { c.chain(queue) })
				continue
			}
			mode := []string{"client-individual", "client"}[(i+k)%2]
			start(consumers, func(c *client) { c.consume(queue, mode) })
		}
	}
	for i := range 6 {
		topic := keptTopics[i%len(keptTopics)]
		if i >= 3 {
			topic = "/topic/kept.**"
		}
		start(r.client(fmt.Sprintf("follower %d of %s", i, topic), "reader"), func(c *client) { c.follow(topic, topic, false) })
	}
	for i, topic := range []string{keptTopics[0], "/topic/kept.**"} {
		start(r.client(fmt.Sprintf("page %d of %s", i, topic), "reader"), func(c *client) { c.readEvents(topic) })
	}
	for i := range 2 {
		start(r.client(fmt.Sprintf("follower %d of %s", i, shortTopic), "reader"), func(c *client) { c.follow(shortTopic, shortTopic, true) })
	}
	for _, user := range []string{"alice", "bob"} {
		start(r.client("notes of "+user, user), func(c *client) { c.follow("/user/queue/notes", "/user/"+user+"/queue/notes", false) })
	}
	for user, topic := range map[string]string{"alice": "/topic/kept.**", "bob": keptTopics[0]} {
		start(r.client("durable subscription of "+user, user), func(c *client) { c.subscribeDurably(topic) })
	}
	for i := range nodeCount {
		start(r.client(fmt.Sprintf("listener %d", i), "reader"), func(c *client) { c.listen(i) })
	}
	for i := range 2 {
		start(r.client(fmt.Sprintf("app server %d", i), "server"), func(c *client) { c.serveApp() })
	}
}

// startSenders starts all that sends. Each sends a first message at once.
func (r *run) startSenders(first *sync.WaitGroup) {
	start := func(c *client, send func(*client, func())) {
		first.Add(1)
		r.senders.Go(func() { send(c, sync.OnceFunc(first.Done)) })
	}
	for _, queue := range append(append([]string(nil), workQueues...), chainQueues[0]) {
		for k := range 2 {
			start(r.client(fmt.Sprintf("producer-%d", k), "sender"), func(c *client, begun func()) { c.produce(queue, true, begun) })
		}
	}
	for k, topic := range append(append([]string(nil), keptTopics...), keptTopics[0], shortTopic, "/user/alice/queue/notes", "/user/bob/queue/notes") {
		start(r.client(fmt.Sprintf("publisher-%d", k), "sender"), func(c *client, begun func()) { c.produce(topic, topic != shortTopic, begun) })
	}
	for k := range 2 {
		start(r.client(fmt.Sprintf("transactor-%d", k), "sender"), func(c *client, begun func()) { c.transact(begun) })
	}
	for i := range nodeCount {
		start(r.client(fmt.Sprintf("speaker-%d", i), "sender"), func(c *client, begun func()) { c.speak(i, begun) })
	}
	for i := range 3 {
		start(r.client(fmt.Sprintf("caller-%d", i), []string{"alice", "bob", "sender"}[i]), func(c *client, begun func()) { c.call(begun) })
	}
}

// speak sends to a topic that nothing keeps, always over one node.
func (c *client) speak(node int, begun func()) {
	var l *link
	begun()
	for n := 1; c.loading.Err() == nil; n++ {
		if l == nil {
			var err error
			if l, err = c.dial(c.loading, node, c.user, c.webSocket); err != nil {
				l = nil
				sleep(c.loading, 300*time.Millisecond)
				continue
			}
		}
		m := c.ledger.send(c.name, "/topic/news."+strconv.Itoa(node), n, nil)
		if c.sendOnce(l, m) != nil {
			l.close()
			l = nil
		}
		sleep(c.loading, c.upTo(2*senderPause))
	}
	if l != nil {
		l.close()
	}
}

// listen reads all topics that nothing keeps, over one node.
func (c *client) listen(node int) {
	r := c.ledger.newReader(c.name, listener, "/topic/news.*")
	for c.reading.Err() == nil {
		l, err := c.dial(c.reading, node, c.user, c.webSocket)
		if err != nil {
			sleep(c.reading, 300*time.Millisecond)
			continue
		}
		c.ledger.connected(r, l.node)
		err = c.readFor(l, 5*time.Second+c.upTo(40*time.Second), []string{"id", "s", "destination", "/topic/news.*", "receipt", "subscribed"}, func(f *frames.Frame) error {
			if f.Command == frames.RECEIPT {
				c.ledger.subscribed(r)
			} else {
				c.ledger.deliver(r, string(f.Body), f.Get("message-id"), false, false)
			}
			return nil
		})
		c.ledger.disconnected(r, errorText(err))
		l.close()
	}
}

// dial connects a user to a node, over WebSocket or TCP.
func (r *run) dial(ctx context.Context, node int, user string, webSocket bool) (*link, error) {
	l := &link{node: node, user: user}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n := r.cluster.nodes[node]
	if webSocket {
		dialer := websocket.Dialer{Subprotocols: []string{"v12.stomp"}, HandshakeTimeout: patience}
		ws, answer, err := dialer.DialContext(ctx, "ws://"+n.http+"/ws", nil)
		if answer != nil {
			_ = answer.Body.Close()
		}
		if err != nil {
			return nil, err
		}
		l.conn = ws.NetConn()
		l.write = func(b []byte) error { return ws.WriteMessage(websocket.TextMessage, b) }
		l.reader = frames.NewReader(&impatient{l.conn, &wsReader{ws: ws}}, &frames.Limits{MaxBody: 16 << 20})
	} else {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", n.stomp)
		if err != nil {
			return nil, err
		}
		l.conn = conn
		l.write = func(b []byte) error { _, err := conn.Write(b); return err }
		l.reader = frames.NewReader(&impatient{conn, conn}, &frames.Limits{MaxBody: 16 << 20})
	}
	l.reader.SetVersion(frames.V12)
	err := l.send(frames.CONNECT, "accept-version", "1.2", "heart-beat", "0,2000", "passcode", r.tokens[user], "login", user)
	if err == nil {
		var f *frames.Frame
		if f, err = l.next(); err == nil && f.Command != frames.CONNECTED {
			err = errors.New(said(f))
		}
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}
