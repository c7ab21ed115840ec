package broker

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stompbox/stompbox/broker/driver"
)

// budget bounds how many bytes of one kind peers have this node keep: each user, and all
// users together. It is safe for concurrent use.
type budget struct {
	name                                  string // of its keys, after limits.user_ and limits.node_
	what                                  string // for people
	code                                  Code
	connectionLimit, userLimit, nodeLimit atomic.Int64 // 0 is none
	node                                  atomic.Int64
	connectionHits, userHits, nodeHits    atomic.Int64 // how often the limits were reached
	total                                 *total       // which this kind is a part of, or nil
	seed                                  maphash.Seed
	shards                                [budgetShards]budgetShard
}

const budgetShards = 32

type budgetShard struct {
	mu      sync.Mutex // guards the following
	users   map[string]int64
	waiters map[string][]waiter // who wait for a user to have less
}

func newBudget(name, what string, code Code, limits ByteLimits) *budget {
	b := &budget{name: name, what: what, code: code, seed: maphash.MakeSeed()}
	b.setLimits(limits)
	return b
}

func (b *budget) setLimits(limits ByteLimits) {
	b.connectionLimit.Store(int64(max(limits.Connection, 0)))
	b.userLimit.Store(int64(max(limits.User, 0)))
	b.nodeLimit.Store(int64(max(limits.Node, 0)))
}

func (b *budget) shard(user string) *budgetShard {
	return &b.shards[maphash.String(b.seed, user)%budgetShards]
}

// take counts n bytes of a user, or says which limit they would be over. A nil budget
// has no limits.
func (b *budget) take(user string, n int) *Error { return b.takeTimes(user, n, 1) }

// takeTimes is take with limits that are so many times as high.
func (b *budget) takeTimes(user string, n, times int) *Error {
	if b == nil {
		return nil
	}
	if err := b.takeKind(user, n, times); err != nil {
		return err
	}
	if err := b.total.take(b.code, user, n, times); err != nil {
		b.giveKind(user, n)
		return err
	}
	return nil
}

// takeKind is takeTimes without the total.
func (b *budget) takeKind(user string, n, times int) *Error {
	if limit, total := b.nodeLimit.Load(), b.node.Add(int64(n)); limit > 0 && total/int64(times) > limit {
		b.node.Add(-int64(n))
		return b.refuse(&b.nodeHits, "node", "the %s of all users together may take %d bytes on this node; try again later, or raise limits.node_%s", limit)
	}
	s := b.shard(user)
	s.mu.Lock()
	used := s.users[user] + int64(n)
	if limit := b.userLimit.Load(); limit > 0 && used/int64(times) > limit {
		s.mu.Unlock()
		b.node.Add(-int64(n))
		return b.refuse(&b.userHits, "user", "your %s may take %d bytes on this node; try again later, or raise limits.user_%s", limit)
	}
	if s.users == nil {
		s.users = make(map[string]int64)
	}
	s.users[user] = used
	s.mu.Unlock()
	return nil
}

func (b *budget) refuse(hits *atomic.Int64, level, format string, limit int64) *Error {
	hits.Add(1)
	e := errorf(b.code, format, b.what, limit, b.name)
	e.retryAfter, e.limit, e.counted = retryAfter, limitName(level, b.name), true
	return e
}

// excess is the error of a connection that ends as its user has too much.
func (b *budget) excess() *Error {
	e := errorf(b.code, "slow consumer: the %s may take %d bytes over all connections of a user, and %d of all users; read faster, or raise limits.user_%s and limits.node_%s",
		b.what, b.userLimit.Load(), b.nodeLimit.Load(), b.name, b.name)
	e.retryAfter, e.counted = retryAfter, true
	return e
}

// connection is the limit of one connection, or 0.
func (b *budget) connection() int {
	if b == nil {
		return 0
	}
	return int(b.connectionLimit.Load())
}

// force counts n bytes of a user that are there already, whatever the limits say.
func (b *budget) force(user string, n int) {
	if b == nil {
		return
	}
	b.total.force(user, n)
	b.node.Add(int64(n))
	s := b.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == nil {
		s.users = make(map[string]int64)
	}
	s.users[user] += int64(n)
}

// over reports whether a user, or all together, have more than they may.
func (b *budget) over(user string) bool {
	if b == nil {
		return false
	}
	if b.nodeLimit.Load() > 0 && b.node.Load() > b.nodeLimit.Load() {
		b.nodeHits.Add(1)
		return true
	}
	if b.total.over(user) {
		return true
	}
	limit := b.userLimit.Load()
	s := b.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit == 0 || s.users[user] <= limit {
		return false
	}
	b.userHits.Add(1)
	return true
}

// limitName is the key of a limit, below limits.
func limitName(level, name string) string {
	if level == "connection" {
		return name
	}
	return level + "_" + name
}

// give takes n bytes of a user back, and lets those go on that wait for it.
func (b *budget) give(user string, n int) {
	if b == nil || n == 0 {
		return
	}
	b.total.give(user, b.giveKind(user, n))
}

// giveKind is give without the total. It returns how many bytes the user had of those.
func (b *budget) giveKind(user string, n int) int {
	s := b.shard(user)
	s.mu.Lock()
	gone := min(int64(n), s.users[user]) // all was scaled meanwhile where there is less
	b.node.Add(-gone)
	used := s.users[user] - gone
	if used > 0 {
		s.users[user] = used
	} else {
		delete(s.users, user)
	}
	var waiters []waiter
	if len(s.waiters) > 0 && used <= b.userLimit.Load()/2 {
		waiters = s.waiters[user]
		delete(s.waiters, user)
	}
	s.mu.Unlock()
	if len(waiters) > 0 {
		go wake(waiters) // the caller may hold what they need
	}
	return int(gone)
}

// scale has all users have a part of what they have, as it was found out that they have
// less.
func (b *budget) scale(part float64) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for user, used := range s.users {
			now := int64(float64(used) * part)
			b.node.Add(now - used)
			b.total.give(user, int(used-now))
			if s.users[user] = now; now <= 0 {
				delete(s.users, user)
			}
		}
		s.mu.Unlock()
	}
}

func wake(waiters []waiter) {
	for _, w := range waiters {
		w.spaceFreed()
	}
}

// wait has a waiter called once a user has less, or by the next wakeAll.
func (b *budget) wait(user string, w waiter) {
	s := b.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiters == nil {
		s.waiters = make(map[string][]waiter)
	}
	if all := s.waiters[user]; len(all) == 0 || all[len(all)-1] != w {
		s.waiters[user] = append(all, w)
	}
}

// wakeAll calls all who wait: what they wait for may have come from other users.
func (b *budget) wakeAll() {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		all := s.waiters
		s.waiters = nil
		s.mu.Unlock()
		for _, waiters := range all {
			wake(waiters)
		}
	}
}

// accountStep is in what steps the account of a session takes and gives back bytes.
const accountStep = 64 << 10

// memory has the budgets of a broker.
type memory struct {
	total                                                                                                     *total
	waiting, transactions, subscriptions, unacked, incoming, dedup, memoryQueues, queues, histories, outboxes *budget
}

func newMemory(q *Quotas) memory {
	m := memory{
		total:         newTotal(),
		waiting:       newBudget("waiting_bytes", "messages that wait for app servers and in transient queues", CodeQueueFull, q.Waiting),
		transactions:  newBudget("transaction_bytes", "frames of open transactions", CodeTransactionSize, q.Transactions),
		subscriptions: newBudget("subscription_bytes", "subscriptions", CodeTooManySubs, q.Subscriptions),
		unacked:       newBudget("unacked_bytes", "messages that are not acknowledged", CodeMemoryLimit, q.Unacked),
		incoming:      newBudget("incoming_bytes", "frames and requests that have not arrived as a whole, or wait to be stored,", CodeMemoryLimit, q.Incoming),
		dedup:         newBudget("dedup_bytes", "dedup ids of the last dedup window", CodeMemoryLimit, q.Dedup),
		memoryQueues:  newBudget("memory_queue_bytes", "messages in queues that are kept in memory", CodeQueueFull, q.MemoryQueues),
		histories:     newBudget("history_bytes", "destinations that histories keep, without their messages,", CodeMemoryLimit, q.Histories),
		outboxes:      newBudget("outbox_bytes", "messages that you do not read as fast as they come", CodeSlowConsumer, q.Outboxes),
		queues:        newBudget("queue_bytes", "queues on disk and those that you consume, without their messages,", CodeQueueFull, q.Queues),
	}
	for _, b := range m.all() {
		b.total = m.total
	}
	m.total.setLimits(q.Memory, m.all())
	return m
}

// setLimits puts other limits in force. What is taken stays.
func (m *memory) setLimits(q *Quotas) {
	m.waiting.setLimits(q.Waiting)
	m.transactions.setLimits(q.Transactions)
	m.subscriptions.setLimits(q.Subscriptions)
	m.unacked.setLimits(q.Unacked)
	m.incoming.setLimits(q.Incoming)
	m.dedup.setLimits(q.Dedup)
	m.memoryQueues.setLimits(q.MemoryQueues)
	m.queues.setLimits(q.Queues)
	m.histories.setLimits(q.Histories)
	m.outboxes.setLimits(q.Outboxes)
	m.total.setLimits(q.Memory, m.all())
}

func (m *memory) all() []*budget {
	return []*budget{m.waiting, m.transactions, m.subscriptions, m.unacked, m.incoming, m.dedup, m.memoryQueues, m.queues, m.histories, m.outboxes}
}

// addCounts adds how often the limits were reached, by name.
func (m *memory) addCounts(counts map[string]int64) {
	for _, b := range m.all() {
		for level, hits := range map[string]*atomic.Int64{"connection": &b.connectionHits, "user": &b.userHits, "node": &b.nodeHits} {
			if n := hits.Load(); n > 0 {
				counts[limitName(level, b.name)] += n
			}
		}
	}
	m.total.addCounts(counts)
}

// bytes are what is taken now, by kind.
func (m *memory) bytes() map[string]int64 {
	taken := make(map[string]int64)
	for _, b := range m.all() {
		taken[strings.TrimSuffix(b.name, "_bytes")] = b.node.Load()
	}
	return taken
}

// account is what one session has of a budget beyond a part that is free, so that small
// changes cost no more than an addition. Its owner locks it.
type account struct {
	budget      *budget
	user        string
	free        int32 // of what is used
	bounded     bool  // by the budget's limit of a connection
	used, taken int
}

// add counts n bytes, or says which limit they would be over.
func (a *account) add(n int) *Error {
	if a.bounded {
		if limit := a.budget.connectionLimit.Load(); limit > 0 && int64(a.used+n) > limit {
			return a.budget.refuse(&a.budget.connectionHits, "connection", "the %s of a connection may take %d bytes; raise limits.%s", limit)
		}
	}
	if over := a.used + n - int(a.free) - a.taken; over > 0 {
		over = (over + accountStep - 1) / accountStep * accountStep
		if err := a.budget.take(a.user, over); err != nil {
			return err
		}
		a.taken += over
	}
	a.used += n
	return nil
}

// force counts n bytes that are there already, whatever the limits say.
func (a *account) force(n int) {
	if over := a.used + n - int(a.free) - a.taken; over > 0 {
		a.budget.force(a.user, over)
		a.taken += over
	}
	a.used += n
}

// set is add or sub, up to n.
func (a *account) set(n int) *Error {
	if n > a.used {
		return a.add(n - a.used)
	}
	a.sub(a.used - n)
	return nil
}

// sub takes n bytes back.
func (a *account) sub(n int) {
	a.used -= n
	if spare := a.taken - max(a.used-int(a.free), 0); spare >= 2*accountStep || a.used == 0 && spare > 0 {
		if a.used > 0 {
			spare = (spare - accountStep) / accountStep * accountStep
		}
		a.taken -= spare
		a.budget.give(a.user, spare)
	}
}

// clear takes all bytes back.
func (a *account) clear() { a.sub(a.used) }

// messageBytes is how many bytes a message takes, about.
func messageBytes(m *driver.Message) int {
	n := driver.MessageOverhead + len(m.Body) + len(m.Destination) + len(m.Key) + len(m.User)
	return n + headerBytes(m.Headers)
}
