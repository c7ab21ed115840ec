package broker

import (
	"maps"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Quotas bound what all sessions of one address, or of one user, may use together on this node.
// IPv6 addresses count by their /64, which is what one customer usually has. A zero is the
// default; a negative value means no limit.
type Quotas struct {
	// AddressConnections is the maximum number of open sessions of one address. Default 10000.
	AddressConnections int
	// AddressConnectRate is how many sessions a second one address may open, with a burst
	// of ten times as many. Default 1000.
	AddressConnectRate int
	// UserConnections is the maximum number of open sessions of one user. Default 10000.
	UserConnections int
	// UserSubscriptions is the maximum number of subscriptions of one user. Default 100000.
	UserSubscriptions int
	// UserMessageRate and UserByteRate are how many SEND frames, and bytes of their bodies, a
	// user may send a second, with a burst of the same size. Default none.
	UserMessageRate, UserByteRate int
	// UserSubscribeRate is how many subscriptions a user may make a second, with a burst of
	// ten times as many; beyond, they wait for a time. Default 5000.
	UserSubscribeRate int
	// UserRequestRate is how many requests to the HTTP API, but those that send, a user may
	// make a second, with a burst of as many. Default 200.
	UserRequestRate int
	// AddressRequestRate is the same of an address, for all its users. Default 2000.
	AddressRequestRate int
	// UserDurables is the most durable subscriptions of one user. Default 1000.
	UserDurables int

	// Waiting is for messages that wait in memory: requests to app servers until they are
	// answered, and messages in transient queues. They count for their sender. Defaults 64 MiB
	// and 512 MiB.
	Waiting ByteLimits
	// Transactions is for the frames of open transactions. Defaults 32 MiB and 512 MiB.
	Transactions ByteLimits
	// Subscriptions is for the memory of subscriptions: their ids, destinations and patterns, and
	// an amount for each word. Defaults 8 MiB, 64 MiB and 2047 MiB.
	Subscriptions ByteLimits
	// Unacked is for unacknowledged messages: those of queues, and the ids of those of topics.
	// Defaults 32 MiB, 128 MiB and 1 GiB.
	Unacked ByteLimits
	// Incoming is for frames and requests that have not arrived completely, or wait to be stored,
	// above the first 64 KiB of a connection. Defaults 64 MiB and 1 GiB.
	Incoming ByteLimits
	// Dedup is for the dedup ids of the last dedup window. Defaults 128 MiB and 512 MiB.
	Dedup ByteLimits
	// MemoryQueues is for the messages of stored queues that are kept in memory alone. They
	// are those of their sender. Defaults 32 MiB and 256 MiB.
	MemoryQueues ByteLimits
	// Queues is for the queues on disk, in addition to their messages: those with messages, for
	// their senders, and those that are consumed, for their first consumers. Defaults 128 MiB
	// and 1 GiB.
	Queues ByteLimits
	// Histories is for the destinations that histories keep, in addition to their messages, for
	// their senders. Defaults 128 MiB and 1 GiB.
	Histories ByteLimits
	// Outboxes is for messages of topics and other frames that clients do not read as fast as
	// they come, above the first 256 KiB of a connection. One that many connections wait for
	// counts once. Defaults 32 MiB and 1 GiB.
	Outboxes ByteLimits
	// Memory is for all of these kinds together. The limit of a user counts as the highest of the
	// kinds where that is higher, and not at all where one of them has no limit; but one user never
	// has more than a quarter of what all may have. Default 256 MiB for a user, and no limit for
	// all users.
	Memory ByteLimits
}

// ByteLimits bound one kind of memory, in bytes. A zero is the default; a negative value
// means no limit.
type ByteLimits struct {
	// Connection is the limit of one connection, for the kinds that have such a limit.
	Connection int
	// User is the limit for all connections of a user, and Node for all users.
	User, Node int
}

func (l *ByteLimits) setDefaults(connection, user, node int) {
	setDefault(&l.Connection, connection)
	setDefault(&l.User, user)
	setDefault(&l.Node, node)
}

// WithDefaults returns q with the defaults in place of zeros.
func (q Quotas) WithDefaults() Quotas {
	setDefault(&q.AddressConnections, 10_000)
	setDefault(&q.AddressConnectRate, 1000)
	setDefault(&q.UserConnections, 10_000)
	setDefault(&q.UserSubscriptions, 100_000)
	setDefault(&q.UserSubscribeRate, 5000)
	setDefault(&q.UserRequestRate, 200)
	setDefault(&q.AddressRequestRate, 2000)
	setDefault(&q.UserDurables, 1000)
	q.Waiting.setDefaults(0, 64<<20, 512<<20)
	q.Transactions.setDefaults(0, 32<<20, 512<<20)
	q.Subscriptions.setDefaults(8<<20, 64<<20, 2047<<20)
	q.Unacked.setDefaults(32<<20, 128<<20, 1<<30)
	q.Incoming.setDefaults(0, 64<<20, 1<<30)
	q.Dedup.setDefaults(0, 128<<20, 512<<20)
	q.MemoryQueues.setDefaults(0, 32<<20, 256<<20)
	q.Queues.setDefaults(0, 128<<20, 1<<30)
	q.Histories.setDefaults(0, 128<<20, 1<<30)
	q.Outboxes.setDefaults(0, 32<<20, 1<<30)
	q.Memory.setDefaults(0, 256<<20, 0)
	return q
}

// connectBurst is how many seconds of connections an address may open at once: all
// clients behind it come back together after a restart.
const connectBurst = 10

// subscribeBurst is how many seconds of subscriptions a user may make at once: all clients
// of a login come back together after a restart.
const subscribeBurst = 10

// Names of the limits, as the metric of limits that were reached has them.
const (
	limitAddressConnections = "address_connections"
	limitAddressConnectRate = "address_connect_rate"
	limitUserConnections    = "user_connections"
	limitUserSubscriptions  = "user_subscriptions"
	limitUserMessageRate    = "user_message_rate"
	limitUserByteRate       = "user_byte_rate"
	limitUserSubscribeRate  = "user_subscribe_rate"
	limitUserDurables       = "user_durables"
	limitUserLogLines       = "user_log_lines"
	limitUserRequests       = "user_requests"
	// limitUserWaitingMessages is of one queue, where the others are of all.
	limitUserWaitingMessages = "user_waiting_messages"
)

// usage counts what addresses and users have open. Those that have nothing open, and
// whose rate has recovered, are forgotten. It is safe for concurrent use.
type usage struct {
	quotas atomic.Pointer[Quotas]
	clock  *clock

	mu        sync.Mutex // guards the following
	addresses map[netip.Prefix]*addressUsage
	users     map[string]*userUsage
	reached   map[string]int64 // how often each limit was reached, by name
	swept     int64            // clock time at which idle addresses were last forgotten
}

type addressUsage struct {
	sessions int
	opened   bucket
}

// userUsage is one user's. Sessions keep a pointer to it; the mutex of usage guards
// the counts, its own the rates.
type userUsage struct {
	sessions, subscriptions int

	mu                         sync.Mutex // guards the following
	messages, bytes, subscribe bucket
}

func newUsage(q Quotas, c *clock) *usage {
	u := &usage{clock: c, addresses: make(map[netip.Prefix]*addressUsage), users: make(map[string]*userUsage), reached: make(map[string]int64)}
	u.quotas.Store(&q)
	return u
}

// addressOf is what a remote address counts as. It is invalid for what has no address,
// such as a pipe, which no quota bounds.
func addressOf(remote string) netip.Prefix {
	var ip netip.Addr
	if at, err := netip.ParseAddrPort(remote); err == nil {
		ip = at.Addr()
	} else if ip, err = netip.ParseAddr(remote); err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // the bits are the address's own
	return p
}

// open counts a session of an address, or says which limit keeps it out.
func (u *usage) open(address netip.Prefix) *Error {
	if !address.IsValid() {
		return nil
	}
	now := u.clock.now()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forgetIdleLocked(now)
	a := u.addresses[address]
	if a == nil {
		a = new(addressUsage)
		u.addresses[address] = a
	}
	if limit := u.quotas.Load().AddressConnections; limit > 0 && a.sessions >= limit {
		return u.refuseLocked(limitAddressConnections, CodeTooManySessions, "your address has its limit of %d connections to this server", limit)
	}
	if limit := u.quotas.Load().AddressConnectRate; limit > 0 && !a.opened.take(now, 1, limit, min(limit, math.MaxInt/connectBurst)*connectBurst) {
		return u.refuseLocked(limitAddressConnectRate, CodeConnectRate, "your address opens more than %d connections a second; wait before you connect again", limit)
	}
	a.sessions++
	return nil
}

func (u *usage) close(address netip.Prefix) {
	if !address.IsValid() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if a := u.addresses[address]; a != nil {
		a.sessions--
	}
}

// forgetAfter is how often what is idle is looked for.
const forgetAfter = int64(10 * time.Second)

// forgetIdleLocked drops addresses without sessions whose rate has recovered.
func (u *usage) forgetIdleLocked(now int64) {
	if now-u.swept < forgetAfter {
		return
	}
	u.swept = now
	for address, a := range u.addresses {
		if a.sessions == 0 && now-a.opened.last >= int64(connectBurst*time.Second) {
			delete(u.addresses, address)
		}
	}
}

// join counts a session of a user, or says which limit keeps it out.
func (u *usage) join(name string) (*userUsage, *Error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	user := u.users[name]
	if limit := u.quotas.Load().UserConnections; user != nil && limit > 0 && user.sessions >= limit {
		return nil, u.refuseLocked(limitUserConnections, CodeTooManySessions, "user %q has the limit of %d connections", name, limit)
	}
	if user == nil {
		user = new(userUsage)
		u.users[name] = user
	}
	user.sessions++
	return user, nil
}

// leave takes a session of a user back.
func (u *usage) leave(name string, user *userUsage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if user.sessions--; user.sessions == 0 {
		delete(u.users, name)
	}
}

// waitToSubscribe returns how long a user has to wait before the next subscription, or an
// error where that is longer than patience.
func (u *usage) waitToSubscribe(user *userUsage, patience time.Duration) (time.Duration, *Error) {
	limit := u.quotas.Load().UserSubscribeRate
	if limit <= 0 {
		return 0, nil
	}
	user.mu.Lock()
	b := &user.subscribe
	b.fill(u.clock.now(), limit, min(limit, math.MaxInt/subscribeBurst)*subscribeBurst)
	b.tokens--
	wait := time.Duration(-b.tokens / float64(limit) * float64(time.Second))
	if wait > patience {
		b.tokens++
	}
	user.mu.Unlock()
	if wait > patience {
		return 0, u.refuse(limitUserSubscribeRate, CodeMessageRate, "you make more than %d subscriptions a second over all your connections; see limits.user_subscribe_rate", limit)
	}
	return max(wait, 0), nil
}

// subscribe counts a subscription of a user, or says which limit refuses it.
func (u *usage) subscribe(user *userUsage) *Error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if limit := u.quotas.Load().UserSubscriptions; limit > 0 && user.subscriptions >= limit {
		return u.refuseLocked(limitUserSubscriptions, CodeTooManySubs, "you have the limit of %d subscriptions over all your connections", limit)
	}
	user.subscriptions++
	return nil
}

func (u *usage) unsubscribe(user *userUsage, n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	user.subscriptions -= n
}

// send holds a user to the rates of messages and of bytes.
func (u *usage) send(user *userUsage, bytes int) *Error {
	quotas := u.quotas.Load()
	messages, rate := quotas.UserMessageRate, quotas.UserByteRate
	if messages <= 0 && rate <= 0 {
		return nil
	}
	now := u.clock.now()
	user.mu.Lock()
	many := messages > 0 && !user.messages.take(now, 1, messages, messages)
	large := !many && rate > 0 && !user.bytes.owe(now, bytes, rate, rate)
	user.mu.Unlock()
	switch {
	case many:
		return u.refuse(limitUserMessageRate, CodeMessageRate, "you send more than %d messages a second over all your connections", messages)
	case large:
		return u.refuse(limitUserByteRate, CodeMessageRate, "you send more than %d bytes a second over all your connections", rate)
	}
	return nil
}

func (u *usage) refuse(limit string, code Code, format string, args ...any) *Error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.refuseLocked(limit, code, format, args...)
}

func (u *usage) refuseLocked(limit string, code Code, format string, args ...any) *Error {
	u.reached[limit]++
	e := errorf(code, format, args...)
	e.retryAfter, e.limit, e.counted = retryAfter, limit, true
	return e
}

// bucket is a token bucket: perSecond tokens come, and burst of them can be there.
type bucket struct {
	tokens float64
	last   int64 // clock time
}

// fill adds the tokens that have come since the last call.
func (b *bucket) fill(now int64, perSecond, burst int) {
	if b.last == 0 {
		b.tokens = float64(burst)
	} else {
		b.tokens = min(float64(burst), b.tokens+float64(now-b.last)*float64(perSecond)/1e9)
	}
	b.last = now
}

// owe takes n tokens where there is one, and owes what is missing, so that what is
// larger than the burst can pass.
func (b *bucket) owe(now int64, n, perSecond, burst int) bool {
	if b.fill(now, perSecond, burst); b.tokens < 1 {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// take takes n tokens, and reports whether they were there.
func (b *bucket) take(now int64, n, perSecond, burst int) bool {
	if b.fill(now, perSecond, burst); b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

func (u *usage) count(limit string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reached[limit]++
}

// counts returns how often each limit was reached, by name.
func (u *usage) counts() map[string]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.reached)
}
