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
	// helloEvery is how often a node says that it is there; after lostAfter of silence
	// the others forget it.
	helloEvery = 2 * time.Second
	lostAfter  = 4 * helloEvery
	// answerWithin bounds how long a flush waits for one node. A node that dies
	// is waited for until it is forgotten.
	answerWithin = 2 * time.Second
)

// members are the other nodes on the same NATS, as far as they were heard of, and
// how nodes ask and notify each other: a [driver.Cluster]. A flush of this node's
// connection confirms its own server alone, so those that are on other servers of a
// cluster are asked too.
type members struct {
	link *link

	mu         sync.Mutex        // guards the following
	known      map[string]member // by id
	helloAt    time.Time         // when this node last said hello
	said       uint64            // how often it did
	watch      func(node string, here bool)
	lostAt     map[string]time.Time  // of nodes that went silent, by name
	replacedAt time.Time             // when a process last took the place of another one
	gone       map[string]goneMember // processes that do not count any more, by id
	warned     map[string]time.Time  // when it was last said that two nodes have a name
}

// rememberLost is how long a node that went silent is listed as lost.
const rememberLost = time.Hour

// maxLost bounds the nodes that are remembered as lost, and as gone: those without a name of
// their own never come back.
const maxLost = 100

type member struct {
	server string // the id of its NATS server
	name   string // its id where it has none
	heard  time.Time
	said   uint64 // its count
}

func newMembers(l *link) *members {
	return &members{
		link: l, known: make(map[string]member), lostAt: make(map[string]time.Time),
		gone: make(map[string]goneMember), warned: make(map[string]time.Time),
	}
}

func (m *members) subject(what string) string { return m.link.prefix + ".node." + what }

// join makes this node known, and learns of the others.
func (m *members) join() error {
	for what, handle := range map[string]nats.MsgHandler{
		"hello": func(msg *nats.Msg) {
			if m.heardFrom(msg.Data) {
				m.hello() // so that it knows of this one at once
			}
		},
		"bye":   func(msg *nats.Msg) { m.left(string(msg.Data)) },
		"flush": func(msg *nats.Msg) { m.reply(msg.Reply, []byte(m.link.conn.ConnectedServerId())) },
	} {
		if _, err := m.link.conn.Subscribe(m.subject(what), handle); err != nil {
			return err
		}
	}
	m.hello()
	return nil
}

func (m *members) hello() {
	m.mu.Lock()
	m.helloAt = time.Now()
	m.said++
	said := m.said
	m.mu.Unlock()
	_ = m.link.conn.Publish(m.subject("hello"), []byte(m.link.id+" "+m.link.conn.ConnectedServerId()+" "+strconv.FormatUint(said, 10)+" "+escape(m.link.name, isNameByte)+" "+versionWritten[0]))
}

// heardFrom notes what a node says, and reports whether it is new. A word of it that
// did not arrive means that others may not have arrived either.
func (m *members) heardFrom(data []byte) bool {
	words := strings.Fields(string(data))
	if len(words) < 3 || words[0] == m.link.id {
		return false
	}
	id, now := words[0], time.Now()
	other := member{server: words[1], name: id, heard: now}
	other.said, _ = strconv.ParseUint(words[2], 10, 64)
	if len(words) > 3 {
		other.name = unescape(words[3])
	}
	m.mu.Lock()
	_, wasGone := m.gone[id]
	counts, returned := m.countsLocked(id, other, now)
	if !counts {
		m.mu.Unlock()
		return !wasGone
	}
	before, old := m.known[id]
	m.known[id] = other
	if old {
		m.mu.Unlock()
		if other.said > before.said+1 {
			m.link.mayHaveMissed()
		}
		return false
	}
	var replaced map[string]member
	if !returned {
		replaced = m.replaceLocked(id, other.name, now)
	}
	lost, wasLost := m.lostAt[other.name]
	delete(m.lostAt, other.name)
	for _, previous := range replaced {
		lost, wasLost = previous.heard, true
	}
	watch := m.watch
	m.mu.Unlock()
	m.link.mayHaveMissed()
	if version := wordAt(words, 4); parseVersion(version) > formatVersion {
		m.link.log.Error("another node is of a newer version of stompbox, and this one cannot read what that writes; upgrade this node", "peer", other.name, "id", id, "version", version, "known", formatVersion)
	}
	if wasLost {
		m.link.log.Info("another node is back", "peer", other.name, "id", id, "away", time.Since(lost), "nodes", m.count())
	} else {
		m.link.log.Info("another node is here", "peer", other.name, "id", id, "nodes", m.count())
	}
	if watch != nil {
		for previous := range replaced {
			watch(previous, false)
		}
		watch(id, true)
	}
	m.warnOfConflicts(now)
	return true
}

// wordAt returns a word of a hello, or "" where an older build said fewer.
func wordAt(words []string, i int) string {
	if i >= len(words) {
		return ""
	}
	return words[i]
}

// left notes that a node has said that it goes. It may have said so before something else
// that it said arrives.
func (m *members) left(id string) {
	m.mu.Lock()
	other, known := m.known[id]
	delete(m.known, id)
	m.rememberLocked(id, goneMember{at: time.Now(), left: true})
	watch := m.watch
	m.mu.Unlock()
	if !known {
		return
	}
	m.link.log.Info("another node has left", "peer", other.name, "id", id, "nodes", m.count())
	if watch != nil {
		watch(id, false)
	}
}

// lose forgets a node that has said nothing for long.
func (m *members) lose(id string) {
	m.mu.Lock()
	other, known := m.known[id]
	delete(m.known, id)
	if known && !m.hasNameLocked(other.name, id) {
		m.forgetLostLocked(time.Now())
		if len(m.lostAt) < maxLost {
			m.lostAt[other.name] = other.heard
		}
	}
	watch := m.watch
	m.mu.Unlock()
	if !known {
		return
	}
	m.link.log.Warn("another node is lost: nothing was heard of it", "peer", other.name, "id", id, "for", time.Since(other.heard).Round(time.Millisecond), "nodes", m.count())
	if watch != nil {
		watch(id, false)
	}
}

// dropSilent forgets nodes that are gone, and says hello when it is time.
func (m *members) dropSilent(now time.Time) {
	m.mu.Lock()
	var silent []string
	for id, other := range m.known {
		if now.Sub(other.heard) > lostAfter {
			silent = append(silent, id)
		}
	}
	due := now.Sub(m.helloAt) >= helloEvery
	m.mu.Unlock()
	for _, id := range silent {
		m.lose(id)
	}
	m.warnOfConflicts(now)
	if due {
		m.hello()
	}
}

func (m *members) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.known)
}

// all returns the names of the other nodes by id.
func (m *members) all() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]string, len(m.known))
	for id, other := range m.known {
		found[id] = other.name
	}
	return found
}

// servers returns the NATS servers, except one, on which other nodes are.
func (m *members) servers(but string) map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]bool)
	for _, other := range m.known {
		if other.server != but {
			found[other.server] = true
		}
	}
	return found
}

// flush returns when a node on each other server has answered: a route
// carries the interest before it carries the question. An embedded server that has
// a route to here has a node, even if that was not heard of yet.
func (m *members) flush(ctx context.Context) error {
	waiting := m.servers(m.link.conn.ConnectedServerId())
	if m.link.clustered() {
		m.link.server.addPeers(waiting)
	}
	if len(waiting) == 0 {
		return nil
	}
	return m.gather(ctx, m.subject("flush"), nil, func(_ string, server []byte) bool {
		delete(waiting, string(server))
		return len(waiting) > 0
	})
}

// leave tells the others that this node goes.
func (m *members) leave() { _ = m.link.conn.Publish(m.subject("bye"), []byte(m.link.id)) }
