package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sent is a subscriber of NATS that was sent numbered messages.
func sent(t *testing.T, numbers ...int) client {
	t.Helper()
	var text string
	for _, n := range numbers {
		body := fmt.Sprintf("%d x", n)
		text += fmt.Sprintf("MSG a 1 %d\r\n%s\r\n", len(body), body)
	}
	return &natsClient{base: served(t, text)}
}

// TestMessagesAreCheckedUntilTheEnd: a second copy of the last message is noticed as any other.
func TestMessagesAreCheckedUntilTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		numbers []int
		says    string
	}{
		"each once":             {[]int{warmUp, warmUp + 1, 0, 1, 2, theLast}, ""},
		"the last twice":        {[]int{warmUp, 0, 1, 2, 2, theLast}, "message 2 came in place of 3"},
		"a first one twice":     {[]int{warmUp, 0, 0, 1, 2, theLast}, "message 0 came in place of 1"},
		"the last is lost":      {[]int{warmUp, 0, 1, theLast}, "came in place of 2"},
		"one after the end":     {[]int{warmUp, 0, 1, 2, theLast, 2}, "message 2 came after the end"},
		"a late one of before":  {[]int{warmUp, 0, 1, warmUp, 2, theLast}, "came in place of 2"},
		"the end comes a third": {[]int{warmUp, 0, 1, 2}, "EOF"},
	} {
		r := receive([]client{sent(t, c.numbers...)}, 3)
		err := awaitAll(t.Context(), r.done, 1)
		if c.says == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestTheLastMessageOfARoomIsNoticedTwice(t *testing.T) {
	t.Parallel()
	for says, numbers := range map[string][]int{
		"":                                      {1, 51, theLast},
		"message 51 came in place of 101":       {1, 51, 51, theLast},
		"message 51 came in place of 1":         {51, theLast},
		"message 2000000000 came in place of 5": {1, theLast},
	} {
		received, ended := make(chan error, 1), make(chan error, 1)
		var latencies []time.Duration
		readRoom(sent(t, numbers...), sequence{next: 1, step: roomCount, end: 100}, func(int) time.Time { return time.Now() }, &latencies, received, ended)
		err := <-ended
		if says == "" {
			require.NoError(t, errors.Join(err, <-received))
			assert.Len(t, latencies, 2)
			continue
		}
		require.ErrorContains(t, err, says)
	}
}

// TestAMessageOfAQueueIsNoticedTwice: the last one too, of which all consumers know when it comes.
func TestAMessageOfAQueueIsNoticedTwice(t *testing.T) {
	t.Parallel()
	message := func(n int) string { return fmt.Sprintf("MESSAGE\nack:%d\n\n%d x\x00", n, n) }
	for _, n := range []int{0, 1} {
		all := newConsumed(2)
		c := &stompClient{base: opened(t, func(theirs net.Conn) { _, _ = io.Copy(io.Discard, theirs) }, message(0)+message(1), message(n))}
		require.EqualError(t, c.consume(all), fmt.Sprintf("message %d came twice", n))
		<-all.complete
	}
}

// silent is a protocol whose connections take no heart-beat.
type silent struct{ err error }

type silentClient struct {
	err    error
	closed chan struct{}
	once   sync.Once
}

func (s silent) dial(string, string) (client, error) {
	return &silentClient{err: s.err, closed: make(chan struct{})}, nil
}

func (c *silentClient) subscribe(string) error       { return nil }
func (c *silentClient) publish(string, []byte) error { return nil }
func (c *silentClient) busy()                        {}
func (c *silentClient) beatEvery() time.Duration     { return time.Millisecond }
func (c *silentClient) beat() error                  { return c.err }
func (c *silentClient) Close() error                 { c.once.Do(func() { close(c.closed) }); return nil }
func (c *silentClient) read(func([]byte)) error      { <-c.closed; return net.ErrClosed }

// deaf is one whose connections end while they are read.
type deaf struct{}

type deafClient struct{ *silentClient }

func (d deaf) dial(string, string) (client, error) {
	return deafClient{&silentClient{closed: make(chan struct{})}}, nil
}

func (c deafClient) beatEvery() time.Duration { return 0 }
func (c deafClient) read(func([]byte)) error  { return io.ErrUnexpectedEOF }

// TestAConnectionThatEndsFailsTheIdleLoad, whether that is seen when it sends or when it reads.
func TestAConnectionThatEndsFailsTheIdleLoad(t *testing.T) {
	t.Parallel()
	for want, p := range map[error]protocol{
		net.ErrWriteToConnected: silent{net.ErrWriteToConnected}, io.ErrUnexpectedEOF: deaf{},
	} {
		b := &bench{peer: peer{protocol: p, slow: 100}, process: &process{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}}
		_, err := b.idle(t.Context())
		require.ErrorIs(t, err, want)
	}
}

// TestClientsBeatUntilTheyAreClosed, more than once.
func TestClientsBeatUntilTheyAreClosed(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	c := &stompClient{base: base{webSocket: &webSocket{conn: ours, r: bufio.NewReader(ours)}}, every: time.Millisecond}
	alive := keepAlive(c, func(err error) { t.Error(err) })
	beat := []byte{0x81, 0x81, 0, 0, 0, 0, '\n'}
	for range 5 {
		got := make([]byte, len(beat))
		_, err := io.ReadFull(theirs, got)
		require.NoError(t, err)
		assert.Equal(t, beat, got)
	}
	require.NoError(t, alive.Close())
	rest, err := io.ReadAll(theirs)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(rest), len(beat), "what was on its way")
}

func TestClientsBeatAsAgreed(t *testing.T) {
	t.Parallel()
	for connected, want := range map[string]time.Duration{
		"CONNECTED\nversion:1.2\nheart-beat:10000,10000\n\n": 10 * time.Second,
		"CONNECTED\nheart-beat:10000,25000\n\n":              25 * time.Second,
		"CONNECTED\nheart-beat:10000,5000\n\n":               10 * time.Second, // what was offered
		"CONNECTED\nheart-beat:10000,0\n\n":                  0,
		"CONNECTED\nversion:1.2\n\n":                         0,
		"CONNECTED\r\nheart-beat:0,20000\r\n\r\n":            20 * time.Second,
	} {
		assert.Equal(t, want, agreedBeat([]byte(connected)), connected)
	}
}

// TestCoresOfOthers: what is neither ours nor idle.
func TestCoresOfOthers(t *testing.T) {
	t.Parallel()
	spent := times{used: 8 * time.Second, all: 10 * time.Second}.since(times{used: 3 * time.Second})
	assert.InDelta(t, .3, spent.others(2*time.Second), 1e-9)
	assert.Zero(t, spent.others(6*time.Second))
	assert.Zero(t, times{}.others(0))
	now := machineTimes()
	assert.Positive(t, now.used)
	assert.Greater(t, now.all, now.used)
}
