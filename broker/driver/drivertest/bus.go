// Package drivertest has tests that every backend passes, for the authors of backends:
// what the interfaces of package driver promise, as programs.
package drivertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// patience is how long a message may take before a test gives up. It is long, since a
// test may share its machine: nothing here measures time.
const patience = 30 * time.Second

// TestBus holds a [driver.Bus] to its promises. Connect is called once for each test and
// returns the buses of two nodes that reach each other; it ends them by t.Cleanup.
func TestBus(t *testing.T, connect func(t *testing.T) (a, b driver.Bus)) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, driver.Bus, driver.Bus){
		"whole messages":               wholeMessages,
		"order":                        order,
		"interests":                    interests,
		"one at a time":                oneAtATime,
		"not the publisher's own":      notItsOwn,
		"an interest that ended":       endedInterest,
		"names that are too long":      longNames,
		"concurrent interests":         concurrentInterests,
		"users with dots in the names": userNames,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := connect(t)
			check(t, a, b)
		})
	}
}

// message is one to a routing key, with the body n.
func message(key string, n int) *driver.Message {
	return &driver.Message{
		ID: fmt.Sprintf("m-%d", n), Destination: key, Key: key, User: "ann", Session: "s-1", Timestamp: 1700000000000,
		Body: fmt.Appendf(nil, "%d", n),
	}
}

// subscribe returns the messages that an interest brings, once the other node honors it.
func subscribe(t *testing.T, bus driver.Bus, pattern string) (messages chan *driver.Message, unsubscribe func()) {
	t.Helper()
	messages = make(chan *driver.Message, 4096)
	unsubscribe, err := bus.Subscribe(pattern, func(m *driver.Message) { messages <- m })
	require.NoError(t, err)
	t.Cleanup(sync.OnceFunc(unsubscribe))
	flush(t, bus)
	return messages, unsubscribe
}

func flush(t *testing.T, bus driver.Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, bus.Flush(ctx))
}

// next returns the next message.
func next(t *testing.T, messages <-chan *driver.Message) *driver.Message {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(patience):
		require.Fail(t, "no message came")
		return nil
	}
}

// wholeMessages: all of a message that concerns subscribers arrives.
func wholeMessages(t *testing.T, a, b driver.Bus) {
	messages, _ := subscribe(t, b, "/topic/whole")
	sent := message("/topic/whole", 1)
	sent.ToSession, sent.NoEcho = "s-2", true
	sent.Headers = sent.Headers.With("content-type", "text/plain").With("Colon:and\nline", "a:b\\c\r\n")
	sent.Body = []byte("a\x00b")
	require.NoError(t, a.Publish(sent))
	got := next(t, messages)
	require.Equal(t, sent.ID, got.ID)
	require.Equal(t, sent.Destination, got.Destination)
	require.Equal(t, sent.Key, got.Key)
	require.Equal(t, []string{"ann", "s-1", "s-2"}, []string{got.User, got.Session, got.ToSession})
	require.True(t, got.NoEcho)
	require.Equal(t, sent.Timestamp, got.Timestamp)
	require.Equal(t, sent.Headers, got.Headers)
	require.Equal(t, sent.Body, got.Body)
}

// order: messages of one caller to one destination keep their order.
func order(t *testing.T, a, b driver.Bus) {
	const count = 1000
	messages, _ := subscribe(t, b, "/topic/order")
	for n := range count {
		require.NoError(t, a.Publish(message("/topic/order", n)))
	}
	for n := range count {
		require.Equal(t, fmt.Sprint(n), string(next(t, messages).Body))
	}
}

// interests: each interest brings what its pattern matches, and nothing else.
func interests(t *testing.T, a, b driver.Bus) {
	keys := []string{"/topic/chat.one", "/topic/chat.one.two", "/topic/chat", "/topic/other", "/topic/end"}
	patterns := []string{"/topic/chat.one", "/topic/chat.*", "/topic/chat.**", "/topic/chat.>", "/topic/**"}
	all := make(map[string]chan *driver.Message)
	for _, pattern := range patterns {
		all[pattern], _ = subscribe(t, b, pattern)
	}
	// What comes last on each interest is for all of them.
	end, _ := subscribe(t, b, "/topic/end")
	for n, key := range keys {
		require.NoError(t, a.Publish(message(key, n)))
	}
	next(t, end)
	for text, messages := range all {
		pattern, err := destination.ParsePattern(text)
		require.NoError(t, err)
		want := make(map[string]bool)
		for _, key := range keys {
			if pattern.Match(key) {
				want[key] = true
			}
		}
		for range want {
			m := next(t, messages)
			require.True(t, want[m.Key], "%s got %s, or got it twice", text, m.Key)
			want[m.Key] = false
		}
		select {
		case m := <-messages:
			require.Fail(t, "an interest got what it does not match", "%s got %s", text, m.Key)
		default:
		}
	}
}

// oneAtATime: an interest has the messages of one destination delivered one at a time.
func oneAtATime(t *testing.T, a, b driver.Bus) {
	const count = 200
	var busy sync.Mutex
	done := make(chan bool, count)
	unsubscribe, err := b.Subscribe("/topic/single", func(*driver.Message) {
		alone := busy.TryLock()
		if alone {
			defer busy.Unlock()
		}
		done <- alone
	})
	require.NoError(t, err)
	t.Cleanup(unsubscribe)
	flush(t, b)
	var publishers sync.WaitGroup
	for publisher := range 4 {
		publishers.Go(func() {
			for n := range count / 4 {
				_ = a.Publish(message("/topic/single", publisher*count+n))
			}
		})
	}
	publishers.Wait()
	for range count {
		select {
		case alone := <-done:
			require.True(t, alone, "two messages of one destination were delivered at a time")
		case <-time.After(patience):
			require.Fail(t, "no message came")
		}
	}
}

// notItsOwn: what a node publishes does not come back to it, which delivers by itself.
func notItsOwn(t *testing.T, a, b driver.Bus) {
	own, _ := subscribe(t, a, "/topic/own.**")
	other, _ := subscribe(t, b, "/topic/own.**")
	require.NoError(t, a.Publish(message("/topic/own.a", 1)))
	next(t, other)
	require.NoError(t, b.Publish(message("/topic/own.b", 2)))
	require.Equal(t, "/topic/own.b", next(t, own).Key, "its own message came back")
}

// endedInterest: after the interest has ended, nothing comes.
func endedInterest(t *testing.T, a, b driver.Bus) {
	ended, unsubscribe := subscribe(t, b, "/topic/ended")
	stays, _ := subscribe(t, b, "/topic/stays")
	require.NoError(t, a.Publish(message("/topic/ended", 1)))
	next(t, ended)
	unsubscribe()
	flush(t, b)
	require.NoError(t, a.Publish(message("/topic/ended", 2)))
	require.NoError(t, a.Publish(message("/topic/stays", 3)))
	next(t, stays)
	require.Empty(t, ended)
}

// longNames: a name that is longer than the broker allows is refused, or carried.
func longNames(t *testing.T, a, b driver.Bus) {
	long := "/topic/" + strings.Repeat("x", destination.MaxEncoded)
	if err := a.Publish(message(long, 1)); err != nil && !errors.Is(err, driver.ErrKeyTooLong) {
		require.ErrorIs(t, err, driver.ErrUnavailable)
	}
	longest := long[:len(long)-(destination.EncodedLen(long)-destination.MaxEncoded)]
	messages, _ := subscribe(t, b, longest)
	require.NoError(t, a.Publish(message(longest, 2)))
	require.Equal(t, "2", string(next(t, messages).Body))
}

// concurrentInterests: interests come and go while messages pass.
func concurrentInterests(t *testing.T, a, b driver.Bus) {
	messages, _ := subscribe(t, b, "/topic/steady")
	var churn sync.WaitGroup
	for worker := range 4 {
		churn.Go(func() {
			for n := range 50 {
				unsubscribe, err := b.Subscribe(fmt.Sprintf("/topic/churn.%d.%d", worker, n), func(*driver.Message) {})
				if err == nil {
					unsubscribe()
				}
			}
		})
	}
	for n := range 200 {
		require.NoError(t, a.Publish(message("/topic/steady", n)))
		_ = a.Publish(message(fmt.Sprintf("/topic/churn.0.%d", n), n))
	}
	churn.Wait()
	for n := range 200 {
		require.Equal(t, fmt.Sprint(n), string(next(t, messages).Body))
	}
}

// userNames: the user in a routing key is one word, whatever its dots and escapes.
func userNames(t *testing.T, a, b driver.Bus) {
	key := destination.UserKey("ann.lee@example.com/x*", "/user/queue/notes")
	exact, _ := subscribe(t, b, key)
	every, _ := subscribe(t, b, "/user/*/queue/notes")
	require.NoError(t, a.Publish(message(key, 1)))
	require.Equal(t, key, next(t, exact).Key)
	require.Equal(t, key, next(t, every).Key)
}
