package broker

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// queueNameBytes is what a store has in memory of a queue on disk in addition to its name, for as
	// long as there are messages in it; about.
	queueNameBytes = 512
	// historyNameBytes is the same of a destination of a history.
	historyNameBytes = 256
	// boundedQueueBytes is the same of a queue with limits of its own, which stays.
	boundedQueueBytes = 64 << 10
	// openQueueBytes is what a queue takes, here and in the store, while it is consumed.
	openQueueBytes = 64 << 10
	// othersEvery is how often it is looked how many names there are that were used on other
	// nodes, or before this one began.
	othersEvery = time.Minute
)

// storedNames bound how many names a store keeps messages under, queues on disk or destinations
// of histories, by their senders. Those that no user of this node has sent to count for
// all together. A name that has no messages any more is found out where a limit is reached.
type storedNames struct {
	ask    func(context.Context) (int64, error) // how many there are; nil: that is not found out
	each   int                                  // bytes of a name that no user of this node has sent to
	budget *budget
	clock  *clock
	seed   maphash.Seed
	looks  looks

	mu     sync.Mutex                  // guards the following
	byUser map[string]map[uint64]int32 // bytes, by a hash of the name
	count  int64                       // names of all users
	others int                         // bytes of the other names
	looked int64                       // clock time at which these were counted
}

func newStoredNames(ask func(context.Context) (int64, error), each int, b *budget, c *clock) *storedNames {
	return &storedNames{ask: ask, each: each, budget: b, clock: c, seed: maphash.MakeSeed(), byUser: make(map[string]map[uint64]int32)}
}

// newQueueNames are those of queues on disk.
func newQueueNames(counter driver.QueueCounter, b *budget, c *clock) *storedNames {
	if counter == nil {
		return newStoredNames(nil, queueNameBytes, b, c)
	}
	return newStoredNames(counter.CountQueues, queueNameBytes, b, c)
}

// newHistoryNames are those of destinations that histories keep.
func newHistoryNames(counter driver.HistoryCounter, b *budget, c *clock) *storedNames {
	if counter == nil {
		return newStoredNames(nil, historyNameBytes, b, c)
	}
	return newStoredNames(counter.CountDestinations, historyNameBytes, b, c)
}

// queueBytes is what a queue on disk takes in addition to its messages.
func queueBytes(name string, o *driver.QueueOptions) int {
	if o.MaxMessages > 0 || o.MaxBytes > 0 {
		return boundedQueueBytes
	}
	return queueNameBytes + 2*len(name)
}

// use notes that a user sends to a name, which takes so many bytes, or says which limit that
// would be over.
func (n *storedNames) use(user, name string, bytes int) *Error {
	key := maphash.String(n.seed, name)
	n.mu.Lock()
	_, known := n.byUser[user][key]
	n.mu.Unlock()
	if known {
		return nil
	}
	err := n.budget.take(user, bytes)
	if err != nil && n.correct() {
		err = n.budget.take(user, bytes)
	}
	if err != nil {
		return err
	}
	n.mu.Lock()
	theirs := n.byUser[user]
	if theirs == nil {
		theirs = make(map[uint64]int32)
		n.byUser[user] = theirs
	}
	_, known = theirs[key] // by another session, meanwhile
	if !known {
		theirs[key] = int32(bytes)
		n.count++
	}
	n.mu.Unlock()
	if known {
		n.budget.give(user, bytes)
	}
	return nil
}

// anyUser stands for the user of names that no user of this node has sent to. No user has a NUL
// in the name.
const anyUser = "\x00any"

// correct asks the store how many names there are, and where there are fewer than were counted
// has all users have as many fewer. It reports whether that is so.
func (n *storedNames) correct() bool {
	return n.ask != nil && n.looks.do(n.clock, int64(lookEvery), n.look)
}

func (n *storedNames) look() (fewer bool) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	there, err := n.ask(ctx)
	if err != nil {
		return false
	}
	n.mu.Lock()
	counted, before := n.count, n.others
	n.others = int(max(there-counted, 0)) * n.each
	n.looked = n.clock.now()
	var given map[string]int
	if there < counted {
		given = n.forgetLocked(float64(there) / float64(counted))
	}
	now := n.others
	n.mu.Unlock()
	if now > before {
		n.budget.force(anyUser, now-before)
	} else {
		n.budget.give(anyUser, before-now)
	}
	for user, bytes := range given {
		n.budget.give(user, bytes)
	}
	return there < counted || now < before
}

// forgetLocked keeps a part of the names of each user, and returns the bytes of the others.
func (n *storedNames) forgetLocked(part float64) map[string]int {
	given := make(map[string]int)
	for user, theirs := range n.byUser {
		keep := int(float64(len(theirs)) * part)
		for key, bytes := range theirs {
			if len(theirs) <= keep {
				break
			}
			delete(theirs, key)
			n.count--
			given[user] += int(bytes)
		}
		if len(theirs) == 0 {
			delete(n.byUser, user)
		}
	}
	return given
}

// sweep counts the other names now and then, where there is anything to compare them with.
func (n *storedNames) sweep(b *Broker, now int64) {
	if n == nil || n.ask == nil {
		return
	}
	n.mu.Lock()
	due := now-n.looked > int64(othersEvery) && n.count > 0
	n.mu.Unlock()
	if due {
		b.background.Go(func() { n.correct() })
	}
}

// namedQueueStore is a store that bounds the queues on disk, and the destinations of histories.
type namedQueueStore struct {
	driver.QueueStore
	names, kept *storedNames
}

func (s *namedQueueStore) check(m *driver.Message, o *driver.StoreOptions) *Error {
	switch {
	case o.History != "":
		return s.kept.use(m.User, m.Key, historyNameBytes+2*len(m.Key))
	case o.Queue.Memory || o.Internal:
		return nil
	}
	return s.names.use(m.User, m.Key, queueBytes(m.Key, &o.Queue))
}

// Store implements [driver.QueueStore].
func (s *namedQueueStore) Store(m *driver.Message, o driver.StoreOptions, done func(error)) {
	if err := s.check(m, &o); err != nil {
		done(err)
		return
	}
	s.QueueStore.Store(m, o, done)
}

// StoreAll implements [driver.QueueStore].
func (s *namedQueueStore) StoreAll(ctx context.Context, all []driver.StoreRequest) error {
	for i := range all {
		if err := s.check(all[i].Message, &all[i].Options); err != nil {
			return err
		}
	}
	return s.QueueStore.StoreAll(ctx, all)
}
