package relay

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// storeAt stores a message whose body is its destination and a number.
func (d *deaf) storeAt(destination string, n int) {
	d.t.Helper()
	stored := make(chan error, 1)
	m := &driver.Message{Destination: destination, Key: destination, Timestamp: time.Now().UnixMilli(), Body: []byte(destination + " " + strconv.Itoa(n))}
	d.queues.Store(m, driver.StoreOptions{History: "all"}, func(err error) { stored <- err })
	require.NoError(d.t, <-stored)
}

func receive(t *testing.T, got <-chan *driver.Message) *driver.Message {
	t.Helper()
	select {
	case m := <-got:
		return m
	case <-time.After(patience):
		t.Fatal("nothing came")
		return nil
	}
}

// republish has the stream publish what it stores again, or not, as where its leader dies
// between the two.
func (d *deaf) republish(on bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	h := d.histories.streams.all["all"]
	stream, err := d.histories.streams.nameOf(ctx, h)
	require.NoError(d.t, err)
	config := d.histories.streams.config(h, stream)
	if !on {
		config.RePublish = nil
	}
	_, err = d.link.js.UpdateStream(ctx, config)
	require.NoError(d.t, err)
}

// live is a message of the history as the leader publishes it.
func (d *deaf) live(seq, before uint64, body string) *nats.Msg {
	d.t.Helper()
	h := d.histories.streams.all["all"]
	stream, err := d.histories.streams.nameOf(d.t.Context(), h)
	require.NoError(d.t, err)
	return &nats.Msg{Subject: "stompbox.topic.a", Data: []byte(body), Header: nats.Header{
		"Nats-Stream": {stream}, "Nats-Subject": {h.prefix + ".topic.a"},
		"Nats-Sequence": {strconv.FormatUint(seq, 10)}, "Nats-Last-Sequence": {strconv.FormatUint(before, 10)},
	}}
}

// TestAPatternGetsAllThatIsBelowAPlace: a place is one number for all destinations of a
// pattern, so what was published to no node comes before what follows it in the stream.
func TestAPatternGetsAllThatIsBelowAPlace(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"/topic/*", "/topic/room.**", "/topic/room.*"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			d := newDeaf(t, 0)
			got := make(chan *driver.Message, 100)
			end, err := d.bus.Subscribe(pattern, func(m *driver.Message) { got <- m })
			require.NoError(t, err)
			defer end()
			one, two, other := "/topic/room.1", "/topic/room.2", "/topic/a"
			if pattern == "/topic/*" {
				one, two, other = "/topic/1", "/topic/2", "/topic/x.y"
			}
			want := func(bodies ...string) {
				t.Helper()
				for _, body := range bodies {
					m := receive(t, got)
					require.Equal(t, body, string(m.Body))
					require.False(t, m.Gap)
				}
			}
			d.storeAt(one, 1)
			d.storeAt(two, 2)
			want(one+" 1", two+" 2")
			d.republish(false)
			d.storeAt(one, 3)
			d.storeAt(other, 4)
			d.storeAt(one, 5)
			d.republish(true)
			d.storeAt(two, 6)
			want(one+" 3", one+" 5", two+" 6")
			d.storeAt(other, 7) // which the pattern does not see
			d.storeAt(one, 8)
			d.storeAt(two, 9)
			want(one+" 8", two+" 9")
			require.Empty(t, got)
		})
	}
}

// TestAGapKeepsNoOtherMessageWaiting has a gap while the history does not answer.
func TestAGapKeepsNoOtherMessageWaiting(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	d.store(0)
	first := d.gets(0, false).Position.Seq
	d.stopHearing()
	for body := range 3 {
		d.store(body + 1)
	}
	gap, next := d.live(first+3, first+2, "3"), d.live(first+4, first+3, "4")
	config := *d.link.server.running().JetStreamConfig()
	require.NoError(t, d.link.server.running().DisableJetStream())
	d.i.arrived(gap) // returns, though it cannot be filled
	d.i.arrived(&nats.Msg{Subject: "stompbox.topic.a", Data: []byte("17")})
	d.gets(17, false) // of no history, so it waits for none
	d.i.arrived(next)
	require.Empty(t, d.got)
	require.NoError(t, d.link.server.running().EnableJetStream(&server.JetStreamConfig{StoreDir: filepath.Dir(config.StoreDir), MaxMemory: config.MaxMemory, MaxStore: config.MaxStore}))
	require.Eventually(t, func() bool {
		done := make(chan error, 1)
		d.queues.Store(&driver.Message{Destination: "/topic/a", Key: "/topic/a", Timestamp: time.Now().UnixMilli(), Body: []byte("4")}, driver.StoreOptions{History: "all"}, func(err error) { done <- err })
		return <-done == nil
	}, patience, 50*time.Millisecond)
	for body := range 4 {
		d.gets(body+1, false)
	}
}

// TestAMessageBeyondTheStreamIsRefused: a program that says it is JetStream does not
// keep subscribers from what is stored.
func TestAMessageBeyondTheStreamIsRefused(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	d.store(0)
	first := d.gets(0, false).Position.Seq
	d.i.arrived(d.live(first+1000, first+999, "forged"))
	d.store(1)
	d.gets(1, false)
	require.Eventually(t, func() bool { return d.logged("is not of its stream") > 0 }, patience, 10*time.Millisecond)
	d.store(2)
	d.gets(2, false)
	require.Empty(t, d.got)
}

// TestAReplayWaitsForAServerThatWasPaused: it does not have yet what the client has.
func TestAReplayWaitsForAServerThatWasPaused(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	d.store(0)
	at := d.gets(0, false).Position
	at.Seq += 2 // of what the client got elsewhere
	var got []string
	var result driver.ReplayResult
	replayed := make(chan error, 1)
	go func() {
		var err error
		result, err = d.histories.Replay(t.Context(), driver.ReplayRequest{History: "all", Pattern: d.i.pattern, After: at}, func(m *driver.Message) error {
			got = append(got, string(m.Body))
			return nil
		})
		replayed <- err
	}()
	time.Sleep(backfillRetry / 2) // it has looked by then; where not, the test says less
	for body := range 3 {
		d.store(body + 1)
	}
	require.NoError(t, <-replayed)
	require.GreaterOrEqual(t, result.UpTo.Seq, at.Seq)
	require.Equal(t, at.Epoch, result.UpTo.Epoch)
	require.False(t, result.Incomplete)
	require.NotContains(t, got, "1")
	require.NotContains(t, got, "2")

	// What no server has is lost.
	d.histories.staleWait = 0
	at.Seq += 1000
	result, err := d.histories.Replay(t.Context(), driver.ReplayRequest{History: "all", Pattern: d.i.pattern, After: at}, func(*driver.Message) error { return nil })
	require.NoError(t, err)
	require.True(t, result.Incomplete)
	require.Less(t, result.UpTo.Seq, at.Seq)
}

// TestABackfillReadsAfterItIsKnownHowFarTheStreamGoes: where another leader answers that than
// the one that did not have the messages, those would be taken for gone.
func TestABackfillReadsAfterItIsKnownHowFarTheStreamGoes(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	d.store(0)
	at := d.gets(0, false).Position
	d.republish(false)
	d.store(1)
	d.store(2)
	server, err := nats.Connect(d.ClientURL())
	require.NoError(t, err)
	t.Cleanup(server.Close)
	asked, err := server.SubscribeSync("$JS.API.>")
	require.NoError(t, err)
	require.NoError(t, server.Flush())
	d.i.arrived(d.live(at.Seq+3, at.Seq+2, "3")) // which is stored once that is asked
	d.i.arrived(d.live(at.Seq+5, at.Seq+4, "5"))
	step := func(prefix string) {
		for {
			msg, err := asked.NextMsg(patience)
			require.NoError(t, err)
			if strings.HasPrefix(msg.Subject, "$JS.API."+prefix+".stompbox_history_all") {
				return
			}
		}
	}
	step("DIRECT.GET")
	for body := 3; body <= 5; body++ {
		d.store(body)
	}
	step("STREAM.INFO")
	step("DIRECT.GET")
	for body := 1; body <= 5; body++ {
		d.gets(body, false)
	}
}
