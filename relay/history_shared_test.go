package relay

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// TestAPageIsReadOnceForAll who want it at about the same time, and not for those who come later.
func TestAPageIsReadOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, reads := newSharedPages(), atomic.Int64{}
		read := func(context.Context) ([]*storedMessage, error) {
			reads.Add(1)
			time.Sleep(time.Millisecond)
			return []*storedMessage{{seq: 1, msg: &nats.Msg{Data: make([]byte, 100)}}}, nil
		}
		get := func(key pageKey) {
			page, err := s.get(t.Context(), key, read)
			if err == nil && len(page) == 1 {
				return
			}
			t.Errorf("got %v, %v", page, err)
		}
		for range 100 {
			go get(pageKey{stream: "a"})
		}
		synctest.Wait()
		time.Sleep(sharedFor / 2)
		get(pageKey{stream: "a"})
		require.EqualValues(t, 1, reads.Load())
		get(pageKey{stream: "a", next: 2})
		get(pageKey{stream: "a", epoch: "b"})
		get(pageKey{stream: "a", dropped: 1})
		require.EqualValues(t, 4, reads.Load(), "other pages")
		time.Sleep(2 * sharedFor)
		requireNothingShared(t, s)
		get(pageKey{stream: "a"})
		require.EqualValues(t, 5, reads.Load())
		time.Sleep(2 * sharedFor)
	})
}

// TestSharedPagesAreBounded in bytes: what has no room is read again.
func TestSharedPagesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSharedPages()
		read := func(context.Context) ([]*storedMessage, error) {
			return []*storedMessage{{seq: 1, msg: &nats.Msg{Data: make([]byte, 1<<20)}}}, nil
		}
		for i := range 40 {
			_, err := s.get(t.Context(), pageKey{next: uint64(i)}, read)
			require.NoError(t, err)
		}
		s.mu.Lock()
		require.LessOrEqual(t, s.bytes, maxSharedBytes)
		require.Len(t, s.kept, maxSharedBytes>>20-1)
		require.Len(t, s.pages, len(s.kept))
		s.mu.Unlock()
		time.Sleep(2 * sharedFor)
		requireNothingShared(t, s)
	})
}

func requireNothingShared(t *testing.T, s *sharedPages) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Zero(t, s.bytes)
	require.Empty(t, s.pages)
	require.Empty(t, s.kept)
	require.False(t, s.ticks)
}

// TestAReadingThatFailsIsNotShared, and nor is an empty page.
func TestAReadingThatFailsIsNotShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, errNo := newSharedPages(), errors.New("no")
		failed := make(chan error, 1)
		go func() {
			_, err := s.get(t.Context(), pageKey{}, func(context.Context) ([]*storedMessage, error) {
				time.Sleep(time.Second)
				return nil, errNo
			})
			failed <- err
		}()
		time.Sleep(time.Millisecond)
		page := []*storedMessage{{seq: 1, msg: &nats.Msg{}}}
		got, err := s.get(t.Context(), pageKey{}, func(context.Context) ([]*storedMessage, error) { return page, nil })
		require.NoError(t, err)
		require.Equal(t, page, got)
		require.ErrorIs(t, <-failed, errNo)
		got, err = s.get(t.Context(), pageKey{next: 1}, func(context.Context) ([]*storedMessage, error) { return nil, nil })
		require.NoError(t, err)
		require.Empty(t, got)
		requireNothingShared(t, s)
	})
}

// TestASharedPageHasNeitherLessNorMore than the history has now: what came since
// follows, and what was cleared or purged since is not there.
func TestASharedPageHasNeitherLessNorMore(t *testing.T) {
	t.Parallel()
	k := openKeeper(t, t.TempDir())
	defer k.Close()
	store := func(key, body string) {
		stored := make(chan error, 1)
		m := &driver.Message{Destination: key, Key: key, Timestamp: time.Now().UnixMilli(), Body: []byte(body)}
		k.queues.Store(m, driver.StoreOptions{History: "all"}, func(err error) { stored <- err })
		require.NoError(t, <-stored)
	}
	store("/topic/b", "the first of the history stays when the other destination is cleared")
	sent := 0
	send := func(n int) {
		for range n {
			store("/topic/a", strconv.Itoa(sent))
			sent++
		}
	}
	pattern, err := destination.ParsePattern("/topic/a")
	require.NoError(t, err)
	_, info, err := k.histories.streams.info(t.Context(), k.histories.streams.all["all"])
	require.NoError(t, err)
	_, epoch := k.histories.streams.epochOf(info.Config.Name)
	replay := func() (bodies []string) {
		_, err := k.histories.Replay(t.Context(), driver.ReplayRequest{History: "all", Pattern: pattern, After: driver.StreamPosition{Epoch: epoch, Seq: 1}},
			func(m *driver.Message) error { bodies = append(bodies, string(m.Body)); return nil })
		require.NoError(t, err)
		return bodies
	}
	numbers := func(from int) (all []string) {
		for i := from; i < sent; i++ {
			all = append(all, strconv.Itoa(i))
		}
		return all
	}
	send(10)
	require.Equal(t, numbers(0), replay())
	k.histories.streams.shared.mu.Lock()
	require.NotEmpty(t, k.histories.streams.shared.pages, "the page is shared")
	k.histories.streams.shared.mu.Unlock()
	send(10)
	require.Equal(t, numbers(0), replay())

	_, err = historyAdmin{k.histories}.ClearHistory(t.Context(), "all", "/topic/a")
	require.NoError(t, err)
	require.Empty(t, replay())
	cleared := sent
	send(5)
	require.Equal(t, numbers(cleared), replay())

	stream, err := k.link.js.Stream(t.Context(), info.Config.Name)
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	require.Empty(t, replay())
}
