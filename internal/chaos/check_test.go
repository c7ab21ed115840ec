package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scene writes a ledger by hand, a second an event.
type scene struct {
	*ledger
	clock time.Duration
}

func newScene() *scene {
	s := &scene{ledger: newLedger()}
	s.settled = true
	return s
}

func (s *scene) tick() time.Duration {
	s.clock += time.Second
	return s.clock
}

// sent is a message that was confirmed at once.
func (s *scene) sent(sender, dest string, number int) *message {
	m := s.send(sender, dest, number, nil)
	m.tries = []try{{at: s.tick(), ended: s.tick(), outcome: "RECEIPT"}}
	m.confirmed = s.clock
	return m
}

// reads is a reader that is connected to n0.
func (s *scene) reads(name string, kind readerKind, pattern string) *reader {
	r := s.newReader(name, kind, pattern)
	r.connections = []connection{{at: s.tick(), subscribed: s.tick()}}
	r.since = s.clock
	s.clock += time.Minute // the queue has come to rest
	return r
}

func (s *scene) read(r *reader, m *message, id string) *delivery {
	d := s.deliver(r, m.body, id, false, false)
	d.at = s.tick()
	return d
}

func (s *scene) promises() (broken []string) {
	for _, v := range s.check() {
		broken = append(broken, v.promise)
	}
	return broken
}

const (
	aQueue = "/queue/q"
	aTopic = "/topic/t"
)

// TestTheCheckerFindsEachKind has a ledger for each way to break a promise, and one next to
// it that is fine.
func TestTheCheckerFindsEachKind(t *testing.T) {
	t.Parallel()
	for promise, write := range map[string]func(s *scene){
		madeUp: func(s *scene) {
			require.Nil(t, s.deliver(s.reads("c", consumer, aQueue), "what?", "q-1", false, false))
		},
		lost: func(s *scene) {
			c := s.reads("c", consumer, aQueue)
			s.read(c, s.sent("p", aQueue, 1), "q-1")
			s.sent("p", aQueue, 2)
			s.send("p", aQueue, 3, nil).tries = []try{{at: s.tick()}} // it was not confirmed
		},
		unmarked: func(s *scene) {
			c := s.reads("c", consumer, aQueue)
			m := s.sent("p", aQueue, 1)
			s.read(c, m, "q-1")
			s.read(c, m, "q-1").redelivered = true
			s.read(c, m, "q-1")
		},
		storedTwice: func(s *scene) {
			c := s.reads("c", consumer, aQueue)
			m := s.sent("p", aQueue, 1)
			s.read(c, m, "q-1")
			s.read(c, m, "q-2").redelivered = true
		},
		storedOrder: func(s *scene) {
			c, other := s.reads("c", consumer, aQueue), s.reads("other", consumer, aQueue)
			first, second := s.sent("p", aQueue, 1), s.sent("p", aQueue, 2)
			s.read(c, first, "q-8")
			s.read(other, second, "q-7")
		},
		deliveredOrder: func(s *scene) {
			c := s.reads("c", consumer, aQueue)
			first, second := s.sent("p", aQueue, 1), s.sent("p", aQueue, 2)
			s.read(c, second, "q-2")
			s.read(c, first, "q-1")
		},
		wronglyDead: func(s *scene) {
			c, dead := s.reads("c", consumer, aQueue), s.newReader("d", deadLetter, deadLettersOf(aQueue))
			m := s.sent("p", aQueue, 1)
			for i := range maxDeliveries - 1 {
				s.read(c, m, "q-1").redelivered = i > 0
			}
			s.read(dead, m, "q-9")
		},
		leftBehind: func(s *scene) { s.left[aQueue] = 1 },
		tornTransaction: func(s *scene) {
			c := s.reads("c", consumer, aQueue)
			tx := s.begin("t")
			first, second := s.send("p", aQueue, 0, tx), s.send("p", "/queue/other", 0, tx)
			first.tries, second.tries = []try{{at: s.tick()}}, []try{{at: s.tick()}}
			s.read(c, first, "q-1")
		},
		droppedEffect: func(s *scene) {
			c := s.reads("c", consumer, aQueue)
			tx := s.begin("t")
			tx.dropped = true
			m := s.send("p", aQueue, 0, tx)
			m.tries = []try{{at: s.tick()}}
			s.read(c, m, "q-1")
		},
		repeated: func(s *scene) {
			l := s.reads("l", listener, aTopic)
			m := s.sent("p", aTopic, 1)
			s.read(l, m, "x")
			s.read(l, m, "x")
		},
		idsFell: func(s *scene) {
			f := s.reads("f", follower, aTopic)
			s.read(f, s.sent("p", aTopic, 1), "e-2")
			s.read(f, s.sent("other", aTopic, 1), "e-1")
		},
		idsDiffer: func(s *scene) {
			f, g := s.reads("f", follower, aTopic), s.reads("g", follower, aTopic)
			m := s.sent("p", aTopic, 1)
			s.read(f, m, "e-1")
			s.read(g, m, "e-2")
		},
		newEpoch: func(s *scene) {
			f := s.reads("f", follower, aTopic)
			s.read(f, s.sent("p", aTopic, 1), "e-1")
			s.read(f, s.sent("p", aTopic, 2), "f-2")
		},
		falseGap: func(s *scene) {
			f := s.reads("f", follower, aTopic)
			s.read(f, s.sent("p", aTopic, 1), "e-1").incomplete = true
		},
		silentGap: func(s *scene) {
			f := s.reads("f", follower, aTopic)
			f.trimmed = true
			s.read(f, s.sent("p", aTopic, 1), "e-1")
			s.sent("p", aTopic, 2)
			s.read(f, s.sent("p", aTopic, 3), "e-3")
			s.sent("p", aTopic, 4)
			s.read(f, s.sent("p", aTopic, 5), "e-5").incomplete = true
		},
		unanswered: func(s *scene) {
			s.requests = []*request{
				{name: "r", at: 0, ended: time.Minute},
				{name: "its connection ended", at: 0, ended: time.Second},
				{name: "fine", at: 0, ended: time.Minute, outcomes: []string{answer}},
				{name: "late", at: 0, ended: time.Minute, outcomes: []string{"app-timeout", answer}},
			}
		},
		answeredTwice: func(s *scene) {
			s.requests = []*request{{name: "r", outcomes: []string{answer, "app-timeout"}}}
		},
	} {
		t.Run(promise, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			write(s)
			require.Equal(t, []string{promise}, s.promises())
			for _, v := range s.check() {
				require.NotEmpty(t, v.story)
			}
		})
	}
}

// TestTheCheckerFindsEachKindForOthers is what is promised to other readers than those of
// the test before.
func TestTheCheckerFindsEachKindForOthers(t *testing.T) {
	t.Parallel()
	for name, scene := range map[string]struct {
		promise string
		write   func(s *scene)
	}{
		"a follower loses one": {lost, func(s *scene) {
			f := s.reads("f", follower, "/topic/*")
			s.read(f, s.sent("p", aTopic, 1), "e-1")
			s.sent("p", aTopic, 2)
			s.read(f, s.sent("p", aTopic, 3), "e-3")
		}},
		"a follower loses the last": {lost, func(s *scene) {
			f := s.reads("f", follower, aTopic)
			s.read(f, s.sent("p", aTopic, 1), "e-1")
			s.sent("p", aTopic, 2)
		}},
		"a follower reads one twice": {repeated, func(s *scene) {
			f := s.reads("f", follower, aTopic)
			m := s.sent("p", aTopic, 1)
			s.read(f, m, "e-1")
			f.connections = append(f.connections, connection{})
			s.read(f, m, "e-1")
		}},
		"a durable subscription loses one": {lost, func(s *scene) {
			d := s.reads("d", durable, aTopic)
			s.read(d, s.sent("p", aTopic, 1), "e-1")
			s.sent("p", aTopic, 2)
		}},
		"a durable subscription repeats one": {unmarked, func(s *scene) {
			d := s.reads("d", durable, aTopic)
			m := s.sent("p", aTopic, 1)
			s.read(d, m, "e-1")
			s.read(d, m, "e-1")
		}},
		"a listener loses one of its node": {lost, func(s *scene) {
			l := s.reads("l", listener, aTopic)
			s.read(l, s.sent("p", aTopic, 1), "x")
			s.sent("p", aTopic, 2)
			s.read(l, s.sent("p", aTopic, 3), "x")
		}},
		"an answer is another's": {answeredTwice, func(s *scene) {
			s.requests = []*request{{name: "r", outcomes: []string{"the answer to s", "app-timeout"}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			scene.write(s)
			require.Contains(t, s.promises(), scene.promise)
		})
	}
}

// TestTheCheckerTakesWhatIsFine has a ledger of things that only look wrong.
func TestTheCheckerTakesWhatIsFine(t *testing.T) {
	t.Parallel()
	s := newScene()
	c, other := s.reads("c", consumer, aQueue), s.reads("other", consumer, aQueue)
	first, second := s.sent("p", aQueue, 1), s.sent("p", aQueue, 2)
	s.read(c, first, "q-1")
	s.read(c, second, "q-2")
	s.read(other, first, "q-1").redelivered = true // out of order, since it comes again

	f := s.reads("f", follower, "/topic/*")
	for n := range 3 {
		s.read(f, s.sent("p", aTopic, n+1), fmt.Sprintf("e-%d", n+1))
	}
	late := s.sent("p", aTopic, 4)
	late.tries[0].at = f.since - 1
	s.read(f, late, "e-4")

	tx := s.begin("nothing of it came")
	for range 2 {
		s.send("q", aQueue, 0, tx).tries = []try{{at: s.tick()}}
	}
	failed := s.sent("p", aQueue, 3)
	for i := range maxDeliveries {
		s.read(c, failed, "q-3").redelivered = i > 0
	}
	s.read(s.newReader("d", deadLetter, deadLettersOf(aQueue)), failed, "dead-1")
	require.Empty(t, s.promises())
}

// TestASeedRepeatsItsSchedule: the same seed has the same faults.
func TestASeedRepeatsItsSchedule(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	steps := schedule(seed, 10*time.Minute)
	require.Equal(t, steps, schedule(seed, 10*time.Minute))
	require.NotEqual(t, steps, schedule(seed+1, 10*time.Minute))
	require.Greater(t, len(steps), 20)
	kinds := make(map[string]bool)
	for seed := range uint64(20) {
		for _, s := range schedule(seed, 10*time.Minute) {
			kinds[s.kind] = true
		}
	}
	require.Len(t, kinds, len(faultKinds))
}
