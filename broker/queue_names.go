package broker

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// queueNameBytes is what a store has in memory of a queue on disk beside its name, for as
	// long as there are messages in it; about.
	queueNameBytes = 512
	// boundedQueueBytes is the same of a queue with limits of its own, which stays.
	boundedQueueBytes = 64 << 10
	// openQueueBytes is what a queue takes, here and in the store, while it is consumed.
	openQueueBytes = 64 << 10
	// othersEvery is how often it is looked how many queues there are that were used on other
	// nodes, or before this one began.
	othersEvery = time.Minute
)

// queueNames bound how many queues on disk there are, by who has sent to them. Those that no
// user of this node has sent to count for all together. A queue that becomes empty is found
// out where a limit is reached.
type queueNames struct {
	counter driver.QueueCounter // nil: that is not found out
	budget  *budget
	clock   *clock
	seed    maphash.Seed
	looks   looks

	mu     sync.Mutex                  // guards the following
	byUser map[string]map[uint64]int32 // bytes, by a hash of the name
	count  int64                       // names of all users
	others int                         // bytes of the other queues
	looked int64                       // clock time at which these were counted
}

func newQueueNames(counter driver.QueueCounter, b *budget, c *clock) *queueNames {
	return &queueNames{counter: counter, budget: b, clock: c, seed: maphash.MakeSeed(), byUser: make(map[string]map[uint64]int32)}
}

// use notes that a user sends to a queue on disk, or says which limit that would be over.
func (n *queueNames) use(user, queue string, o *driver.QueueOptions) *Error {
	key := maphash.String(n.seed, queue)
	n.mu.Lock()
	_, known := n.byUser[user][key]
	n.mu.Unlock()
	if known {
		return nil
	}
	bytes := queueNameBytes + 2*len(queue)
	if o.MaxMessages > 0 || o.MaxBytes > 0 {
		bytes = boundedQueueBytes
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

// anyQueue stands for the user of queues that no user of this node has sent to. No user has a NUL
// in the name.
const anyQueue = "\x00queues"

// correct asks the store how many queues there are, and where there are fewer than were counted
// has all users have as many fewer. It reports whether that is so.
func (n *queueNames) correct() bool {
	return n.counter != nil && n.looks.do(n.clock, int64(lookEvery), n.look)
}

func (n *queueNames) look() (fewer bool) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	there, err := n.counter.CountQueues(ctx)
	if err != nil {
		return false
	}
	n.mu.Lock()
	counted, before := n.count, n.others
	n.others = int(max(there-counted, 0)) * queueNameBytes
	n.looked = n.clock.now()
	var given map[string]int
	if there < counted {
		given = n.forgetLocked(float64(there) / float64(counted))
	}
	now := n.others
	n.mu.Unlock()
	if now > before {
		n.budget.force(anyQueue, now-before)
	} else {
		n.budget.give(anyQueue, before-now)
	}
	for user, bytes := range given {
		n.budget.give(user, bytes)
	}
	return there < counted || now < before
}

// forgetLocked keeps a part of the names of each user, and returns the bytes of the others.
func (n *queueNames) forgetLocked(part float64) map[string]int {
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

// sweep counts the other queues now and then, where there is anything to compare them with.
func (n *queueNames) sweep(b *Broker, now int64) {
	if n == nil || n.counter == nil {
		return
	}
	n.mu.Lock()
	due := now-n.looked > int64(othersEvery) && n.count > 0
	n.mu.Unlock()
	if due {
		b.background.Go(func() { n.correct() })
	}
}

// namedQueueStore is a store that bounds the queues on disk.
type namedQueueStore struct {
	driver.QueueStore
	names *queueNames
}

func (s *namedQueueStore) check(m *driver.Message, o *driver.StoreOptions) *Error {
	if o.History != "" || o.Queue.Memory || o.Internal {
		return nil
	}
	return s.names.use(m.User, m.Key, &o.Queue)
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
