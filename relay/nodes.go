package relay

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// helloEvery is how often a node says that it is there; after lostAfter
	// without a word the others forget it.
	helloEvery = 2 * time.Second
	lostAfter  = 4 * helloEvery
	// answerWithin bounds how long a flush waits for one node. A node that dies
	// is waited for until it is forgotten.
	answerWithin = 2 * time.Second
)

// nodes are the other nodes on the same NATS, as far as they were heard of. A
// flush of this node's connection confirms its own server alone, so those that
// are on other servers of a cluster are asked too.
type nodes struct {
	mu    sync.Mutex
	known map[string]node // by id
	hello time.Time       // when this node last said so
	said  uint64          // how often it did
	watch func(node string, here bool)
}

type node struct {
	server string // the id of its NATS server
	name   string
	heard  time.Time
	said   uint64 // its count
}

func (r *Relay) nodeSubject(what string) string { return r.prefix + ".node." + what }

// joinNodes makes this node known, and learns of the others.
func (r *Relay) joinNodes() error {
	r.nodes.known = make(map[string]node)
	for what, handle := range map[string]nats.MsgHandler{
		"hello": func(msg *nats.Msg) {
			if r.heardOf(msg.Data) {
				r.hello() // so that it knows of this one at once
			}
		},
		"bye":   func(msg *nats.Msg) { r.forget(string(msg.Data)) },
		"flush": func(msg *nats.Msg) { r.reply(msg.Reply, []byte(r.conn.ConnectedServerId())) },
	} {
		if _, err := r.conn.Subscribe(r.nodeSubject(what), handle); err != nil {
			return err
		}
	}
	r.hello()
	return nil
}

func (r *Relay) hello() {
	r.nodes.mu.Lock()
	r.nodes.hello = time.Now()
	r.nodes.said++
	said := r.nodes.said
	r.nodes.mu.Unlock()
	_ = r.conn.Publish(r.nodeSubject("hello"), []byte(r.id+" "+r.conn.ConnectedServerId()+" "+strconv.FormatUint(said, 10)+" "+escape(r.name, isNameByte)))
}

// heardOf notes what a node says, and reports whether it is new. A word of it that
// did not arrive means that others may not have arrived either.
func (r *Relay) heardOf(data []byte) bool {
	words := strings.Fields(string(data))
	if len(words) < 3 || words[0] == r.id {
		return false
	}
	said, _ := strconv.ParseUint(words[2], 10, 64)
	r.nodes.mu.Lock()
	before, old := r.nodes.known[words[0]]
	name := words[0]
	if len(words) > 3 {
		name = unescape(words[3])
	}
	r.nodes.known[words[0]] = node{server: words[1], name: name, heard: time.Now(), said: said}
	watch := r.nodes.watch
	r.nodes.mu.Unlock()
	if !old || said > before.said+1 {
		r.suspect()
	}
	if !old && watch != nil {
		watch(words[0], true)
	}
	return !old
}

// forget notes that a node is gone.
func (r *Relay) forget(id string) {
	r.nodes.mu.Lock()
	_, known := r.nodes.known[id]
	delete(r.nodes.known, id)
	watch := r.nodes.watch
	r.nodes.mu.Unlock()
	if known && watch != nil {
		watch(id, false)
	}
}

// dropSilent forgets nodes that are gone, and says hello when it is time.
func (r *Relay) dropSilent(now time.Time) {
	r.nodes.mu.Lock()
	var silent []string
	for id, one := range r.nodes.known {
		if now.Sub(one.heard) > lostAfter {
			silent = append(silent, id)
		}
	}
	due := now.Sub(r.nodes.hello) >= helloEvery
	r.nodes.mu.Unlock()
	for _, id := range silent {
		r.forget(id)
	}
	if due {
		r.hello()
	}
}

func (n *nodes) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.known)
}

// all returns the ids of the other nodes.
func (n *nodes) all() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := make(map[string]bool, len(n.known))
	for id := range n.known {
		found[id] = true
	}
	return found
}

func (n *nodes) nameOf(id string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if one, ok := n.known[id]; ok {
		return one.name
	}
	return id
}

// servers returns the NATS servers, but for one, on which other nodes are.
func (n *nodes) servers(but string) map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := make(map[string]bool)
	for _, one := range n.known {
		if one.server != but {
			found[one.server] = true
		}
	}
	return found
}

// flushNodes returns when a node on each other server has answered: a route
// carries the interest before it carries the question. An embedded server that has
// a route to here has a node, even if that was not heard of yet.
func (r *Relay) flushNodes(ctx context.Context) error {
	waiting := r.nodes.servers(r.conn.ConnectedServerId())
	if r.server != nil && r.server.clustered {
		r.server.addPeers(waiting)
	}
	if len(waiting) == 0 {
		return nil
	}
	return r.gather(ctx, r.nodeSubject("flush"), nil, func(_ string, server []byte) bool {
		delete(waiting, string(server))
		return len(waiting) > 0
	})
}

// leaveNodes tells the others that this node goes.
func (r *Relay) leaveNodes() { _ = r.conn.Publish(r.nodeSubject("bye"), []byte(r.id)) }
