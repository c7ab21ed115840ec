package broker

import (
	"context"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

// memoryQueueStore is a store that counts the messages of queues that are in memory alone,
// by who sent them. What this node's clients acknowledge is given back at once. What ends in
// another way, such as on other nodes, is found out where a limit is reached.
type memoryQueueStore struct {
	driver.QueueStore
	memory driver.QueueMemory // nil: what other nodes consumed is not found out
	budget *budget
	clock  *clock
	looks  looks
}

const (
	// lookEvery is how often at most the store is asked, and lookTimeout how long it may take.
	lookEvery   = time.Second
	lookTimeout = 2 * time.Second
)

func (s *memoryQueueStore) take(m *driver.Message) error {
	n := messageBytes(m)
	err := s.budget.take(m.User, n)
	if err != nil && s.correct() {
		err = s.budget.take(m.User, n)
	}
	if err != nil { // a nil *Error is no nil error
		return err
	}
	return nil
}

func (s *memoryQueueStore) give(m *driver.Message) { s.budget.give(m.User, messageBytes(m)) }

// correct asks the store what it has, and where that is less than what was counted has all
// users have as much less. It reports whether that is so.
func (s *memoryQueueStore) correct() bool {
	return s.memory != nil && s.looks.do(s.clock, int64(lookEvery), s.look)
}

func (s *memoryQueueStore) look() bool {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	counted := s.budget.node.Load()
	there, err := s.memory.MemoryBytes(ctx)
	if err != nil || counted <= 0 || there >= counted {
		return false
	}
	s.budget.scale(float64(there) / float64(counted))
	return true
}

// Store implements [driver.QueueStore].
func (s *memoryQueueStore) Store(m *driver.Message, o driver.StoreOptions, done func(error)) {
	if !o.Queue.Memory {
		s.QueueStore.Store(m, o, done)
		return
	}
	if err := s.take(m); err != nil {
		done(err)
		return
	}
	s.QueueStore.Store(m, o, func(err error) {
		if err != nil {
			s.give(m)
		}
		done(err)
	})
}

// StoreAll implements [driver.QueueStore].
func (s *memoryQueueStore) StoreAll(ctx context.Context, all []driver.StoreRequest) error {
	var taken []*driver.Message
	giveAll := func() {
		for _, m := range taken {
			s.give(m)
		}
	}
	for _, request := range all {
		if !request.Options.Queue.Memory {
			continue
		}
		if err := s.take(request.Message); err != nil {
			giveAll()
			return err
		}
		taken = append(taken, request.Message)
	}
	err := s.QueueStore.StoreAll(ctx, all)
	if err != nil {
		giveAll()
	}
	return err
}

// OpenQueue implements [driver.QueueStore].
func (s *memoryQueueStore) OpenQueue(ctx context.Context, queue string, o driver.QueueOptions, deliver func(driver.Delivery)) (driver.QueueReader, error) {
	reader, err := s.QueueStore.OpenQueue(ctx, queue, o, deliver)
	if err != nil || !o.Memory {
		return reader, err
	}
	return &memoryQueueReader{reader, s}, nil
}

// memoryQueueReader gives back what is acknowledged.
type memoryQueueReader struct {
	driver.QueueReader
	store *memoryQueueStore
}

// Ack implements [driver.QueueReader].
func (r *memoryQueueReader) Ack(d driver.Delivery, done func(error)) {
	r.store.give(d.Message)
	r.QueueReader.Ack(d, done)
}
