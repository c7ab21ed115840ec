package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stompbox/stompbox/destination"
)

// ledger is what all clients did and saw. It is safe for concurrent use.
type ledger struct {
	began time.Time

	mu           sync.Mutex // guards the following
	messages     map[string]*message
	order        []*message // as they were sent
	transactions []*transaction
	readers      []*reader
	requests     []*request
	faults       []fault
	unknown      []string // bodies that were never sent
	settled      bool     // all readers had the time to get everything
	left         map[string]int
}

func newLedger() *ledger {
	return &ledger{began: time.Now(), messages: make(map[string]*message), left: make(map[string]int)}
}

// now is the time since the beginning, as all times of a ledger are.
func (l *ledger) now() time.Duration { return time.Since(l.began) }

// message is what a sender sent to a destination, however often it tried.
type message struct {
	body        string
	sender      string
	destination string
	number      int // of the sender, to this destination; 0 where its order does not matter
	transaction *transaction
	dedup       bool // each try has the same dedup-id

	tries      []try
	confirmed  time.Duration // 0: never
	deliveries []*delivery
}

// try is one SEND, or one COMMIT, and how it ended.
type try struct {
	at, ended time.Duration
	node      int
	outcome   string
}

// transaction is a group of messages that take effect together.
type transaction struct {
	name      string
	messages  []*message
	dropped   bool // by ABORT, or by a connection that ended before COMMIT
	repeated  bool // it was sent again with the same dedup-ids
	confirmed bool
}

// delivery is one MESSAGE that a client read.
type delivery struct {
	at          time.Duration
	reader      *reader
	connection  int
	node        int
	message     *message
	id          string
	redelivered bool
	incomplete  bool          // replay:incomplete
	acked       time.Duration // when an ACK was confirmed, or 0
}

// readerKind is what a client was promised.
type readerKind int

const (
	consumer   readerKind = iota // of a queue
	follower                     // of a history, with last-event-id
	durable                      // subscription
	listener                     // of a topic that nothing keeps
	deadLetter                   // consumer of /queue/DLQ.<name>
)

// reader is a client that subscribes, over all of its connections.
type reader struct {
	name        string
	kind        readerKind
	pattern     destination.Pattern
	trimmed     bool          // the history drops messages by a limit
	since       time.Duration // when its first SUBSCRIBE was confirmed, or 0
	connections []connection
	deliveries  []*delivery
}

type connection struct {
	node       int
	at         time.Duration
	subscribed time.Duration
	ended      time.Duration // 0: it is open
	why        string
}

// request is what was sent to /app, and what came of it.
type request struct {
	name     string
	at       time.Duration
	node     int
	ended    time.Duration // of its connection, or 0
	outcomes []string      // "answer", or the code of an error
}

// fault is what was done to a node.
type fault struct {
	kind     string
	node     int
	at, over time.Duration
}

// send notes a message that is about to be sent.
func (l *ledger) send(sender, dest string, number int, tx *transaction) *message {
	m := &message{sender: sender, destination: dest, number: number, transaction: tx, dedup: true}
	m.body = sender + " " + strconv.Itoa(number) + " " + dest
	l.note(m)
	return m
}

func (l *ledger) note(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[m.body] = m
	l.order = append(l.order, m)
	if m.transaction != nil {
		m.transaction.messages = append(m.transaction.messages, m)
	}
}

// begin notes a transaction.
func (l *ledger) begin(name string) *transaction {
	l.mu.Lock()
	defer l.mu.Unlock()
	tx := &transaction{name: name}
	l.transactions = append(l.transactions, tx)
	return tx
}

// try notes a SEND of messages, and returns what notes its end.
func (l *ledger) try(node int, all ...*message) func(confirmed bool, outcome string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.now()
	for _, m := range all {
		m.tries = append(m.tries, try{at: at, node: node})
	}
	return func(confirmed bool, outcome string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, m := range all {
			last := &m.tries[len(m.tries)-1]
			last.ended, last.outcome = l.now(), outcome
			if confirmed && m.confirmed == 0 {
				m.confirmed = last.ended
			}
		}
	}
}

// edit changes what is in the ledger.
func (l *ledger) edit(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *ledger) newReader(name string, kind readerKind, pattern string) *reader {
	parsed, err := destination.ParsePattern(pattern)
	if err != nil {
		panic(err) // it is written here
	}
	r := &reader{name: name, kind: kind, pattern: parsed}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers = append(l.readers, r)
	return r
}

// connected notes a connection of a reader.
func (l *ledger) connected(r *reader, node int) {
	l.edit(func() { r.connections = append(r.connections, connection{node: node, at: l.now()}) })
}

// subscribed notes the RECEIPT of the SUBSCRIBE on the reader's newest connection.
func (l *ledger) subscribed(r *reader) {
	l.edit(func() {
		c := &r.connections[len(r.connections)-1]
		c.subscribed = l.now()
		if r.since == 0 {
			r.since = c.subscribed
		}
	})
}

func (l *ledger) disconnected(r *reader, why string) {
	l.edit(func() {
		c := &r.connections[len(r.connections)-1]
		c.ended, c.why = l.now(), why
	})
}

// deliver notes a MESSAGE on the reader's newest connection. It returns nil for one that
// was never sent.
func (l *ledger) deliver(r *reader, body, id string, redelivered, incomplete bool) *delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.messages[body]
	if m == nil {
		l.unknown = append(l.unknown, r.name+" read "+strconv.Quote(body))
		return nil
	}
	d := &delivery{
		at: l.now(), reader: r, connection: len(r.connections) - 1, message: m,
		id: strings.Clone(id), redelivered: redelivered, incomplete: incomplete,
	}
	if len(r.connections) > 0 {
		d.node = r.connections[d.connection].node
	}
	m.deliveries = append(m.deliveries, d)
	r.deliveries = append(r.deliveries, d)
	return d
}

func (l *ledger) addFault(f fault) {
	l.edit(func() { l.faults = append(l.faults, f) })
}

// missing returns how many confirmed messages some reader has to get yet, and says of the
// first of them who that is.
func (l *ledger) missing() (n int, first []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add := func(m *message, who string) {
		if n++; n <= maxStories {
			first = append(first, fmt.Sprintf("%s: %q", who, m.body))
		}
	}
	for _, m := range l.order {
		if m.confirmed == 0 {
			continue
		}
		if isQueue(m.destination) {
			if len(m.deliveries) == 0 {
				add(m, "consumers of "+m.destination)
			}
			continue
		}
		for _, r := range l.readers {
			if r.owed(m) && !r.trimmed && r.first(m) == nil {
				add(m, r.name)
			}
		}
	}
	return n, first
}

func isQueue(dest string) bool { return strings.HasPrefix(dest, "/queue/") }

// owed reports whether a reader has to get a message that was confirmed.
func (r *reader) owed(m *message) bool {
	if r.kind != follower && r.kind != durable || r.since == 0 || m.confirmed == 0 {
		return false
	}
	return m.tries[0].at > r.since && r.pattern.Match(m.destination)
}

// first returns the first delivery of a message to a reader, or nil.
func (r *reader) first(m *message) *delivery {
	for _, d := range m.deliveries {
		if d.reader == r {
			return d
		}
	}
	return nil
}
