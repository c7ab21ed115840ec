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

// TestAPageCountsForTheMemoryThatItTakes, most of which small messages have in their headers. The
// memory is what a message of a page was measured to take, with as many headers and bytes.
func TestAPageCountsForTheMemoryThatItTakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ headers, bytes, memory int }{{13, 451, 2033}, {16, 522, 2892}, {33, 960, 5424}} {
		msg := &nats.Msg{Header: nats.Header{}}
		for i := range tt.headers {
			msg.Header.Set("Name-"+strconv.Itoa(i), "value")
		}
		msg.Data = make([]byte, tt.bytes-msg.Size())
		counted := memoryOf([]*storedMessage{{msg: msg}})
		require.Greater(t, counted, tt.memory*9/10, "%d headers", tt.headers)
		require.Less(t, counted, tt.memory*3/2, "%d headers", tt.headers)
	}
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

// TestWhatWasClearedIsNotDelivered of a page that was read before, nor of one that a replica which
// lags has answered since.
func TestWhatWasClearedIsNotDelivered(t *testing.T) {
	t.Parallel()
	k := openKeeper(t, t.TempDir())
	defer k.Close()
	streams := k.histories.streams
	h := streams.all["all"]
	k.store("0", "1", "2")
	pattern, err := destination.ParsePattern("/topic/a")
	require.NoError(t, err)
	subject := Subject(h.prefix, "/topic/a")
	var bodies []string
	begin := func() *historyReplay {
		stream, info, err := streams.info(t.Context(), h)
		require.NoError(t, err)
		r := &historyReplay{drops: drops{streams: streams, history: h, stream: stream}, pattern: pattern}
		r.begin(info.State)
		_, r.epoch = streams.epochOf(stream)
		r.deliver = func(m *driver.Message) error { bodies = append(bodies, string(m.Body)); return nil }
		return r
	}
	read := func(r *historyReplay) []string {
		bodies = nil
		require.NoError(t, r.all(t.Context(), []string{subject}, 1, 100))
		return bodies
	}
	first, second := begin(), begin()
	page, _, err := readPage(t.Context(), k.link, first.stream, pageRequest{Seq: 1, Subject: subject, Batch: pageMessages})
	require.NoError(t, err)
	require.Equal(t, []string{"0", "1", "2"}, read(first))
	n, err := historyAdmin{k.histories}.ClearHistory(t.Context(), "all", "/topic/a")
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	require.Empty(t, read(second), "which began before, and shares the page of the first")

	k.store("3")
	third := begin()
	key := pageKey{stream: third.stream, epoch: third.epoch, dropped: third.dropped, subject: subject, next: 1, size: pageSize(0)}
	_, err = streams.shared.get(t.Context(), key, func(context.Context) ([]*storedMessage, error) { return page, nil })
	require.NoError(t, err)
	require.Equal(t, []string{"3"}, read(third))
}

// TestWhatWasClearedIsOfOneStream: one that is made again has other messages under these numbers.
func TestWhatWasClearedIsOfOneStream(t *testing.T) {
	t.Parallel()
	k := openKeeper(t, t.TempDir())
	defer k.Close()
	k.store("0", "1", "2")
	_, err := historyAdmin{k.histories}.ClearHistory(t.Context(), "all", "/topic/a")
	require.NoError(t, err)
	streams := k.histories.streams
	h := streams.all["all"]
	first, err := streams.nameOf(t.Context(), h)
	require.NoError(t, err)
	require.NoError(t, k.link.js.DeleteStream(t.Context(), first))
	h.reset()
	k.store("3", "4", "5")
	second, info, err := streams.info(t.Context(), h)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.NotContains(t, info.Config.Metadata, metadataCleared)
	_, epoch := streams.epochOf(second)
	bodies, result := k.replay(driver.StreamPosition{Epoch: epoch, Seq: 1})
	require.Equal(t, []string{"4 2", "5 3"}, bodies)
	require.False(t, result.Incomplete)
}
