package relay

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// fromNewer makes a message of a build that writes another version.
func fromNewer(msg *nats.Msg) *nats.Msg {
	msg.Header[headerVersion] = []string{"2"}
	return msg
}

// storeNewer has JetStream keep a message of a newer build.
func (d *deaf) storeNewer(prefix, key, body string) {
	d.t.Helper()
	msg := fromNewer(encode(prefix, &driver.Message{Key: key, Destination: key, Timestamp: time.Now().UnixMilli(), Body: []byte(body)}))
	_, err := d.link.js.PublishMsg(d.t.Context(), msg)
	require.NoError(d.t, err)
}

func TestMessagesCarryTheVersion(t *testing.T) {
	msg := encode("stompbox", &driver.Message{Key: "/topic/a", Destination: "/topic/a"})
	require.Equal(t, "1", msg.Header.Get(headerVersion))
	require.False(t, isNewer(msg.Header))
	require.False(t, isNewer(nats.Header{}), "of a build before versions, or of a program")
	for _, version := range []string{"2", "99", "0", "-1", "x"} {
		require.True(t, isNewer(nats.Header{headerVersion: []string{version}}), version)
	}
}

// TestAQueueGivesANewerMessageToANewerNode: it is neither delivered, nor removed, nor
// delivered in vain again and again, and the node says why.
func TestAQueueGivesANewerMessageToANewerNode(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 100)
	d.storeInQueue("/queue/a", "before", "")
	d.storeNewer("stompbox", "/queue/a", "newer")
	d.storeInQueue("/queue/a", "after", "")
	c := d.consume("/queue/a")
	c.takes("before", false)
	c.Pull(5)
	require.Eventually(t, func() bool { return d.logged("this node reads no more of a queue") > 0 }, patience, 10*time.Millisecond)
	require.Contains(t, d.said.String(), "upgrade this node")
	info := func() (pending, redelivered, delivered int) {
		consumer, err := d.link.js.Consumer(t.Context(), "stompbox_queues", safeName("/queue/a"))
		require.NoError(t, err)
		i := consumer.CachedInfo()
		return i.NumAckPending, i.NumRedelivered, int(i.Delivered.Consumer)
	}
	require.Eventually(t, func() bool { pending, _, _ := info(); return pending <= 2 && len(d.readers.all()) == 0 }, patience, 10*time.Millisecond)
	stream, err := d.link.js.Stream(t.Context(), "stompbox_queues")
	require.NoError(t, err)
	require.EqualValues(t, 2, stream.CachedInfo().State.Msgs, "both are there yet")
	require.Positive(t, d.Stats().Newer)
	seen, err := d.Driver().QueueAdmin.PeekQueue(t.Context(), "/queue/a", driver.Peek{Limit: 10, MaxBytes: 1 << 20})
	require.NoError(t, err)
	require.Len(t, seen.Messages, 1)
	require.Equal(t, "after", string(seen.Messages[0].Body))
}

func TestADurableSubscriptionDoesNotAcknowledgeANewerMessage(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 100)
	c := d.openDurable()
	d.storeNewer("stompbox.history.all", "/topic/a", "newer")
	c.Pull(1)
	require.Eventually(t, func() bool { return d.logged("this node reads no more of a queue") > 0 }, patience, 10*time.Millisecond)
	stream, err := d.histories.streams.nameOf(t.Context(), d.histories.streams.all["all"])
	require.NoError(t, err)
	found, err := d.link.js.Stream(t.Context(), stream)
	require.NoError(t, err)
	for consumers := found.ListConsumers(t.Context()); ; {
		info, ok := <-consumers.Info()
		if !ok {
			break
		}
		require.Zero(t, info.AckFloor.Stream, "it is not acknowledged")
	}
}

// TestAHistoryTellsOfANewerMessage: subscribers read that something is missing, and who
// asks for the past gets an error.
func TestAHistoryTellsOfANewerMessage(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 100)
	d.store(0)
	place := d.gets(0, false).Position
	d.storeNewer("stompbox.history.all", "/topic/a", "newer")
	d.store(1)
	d.gets(1, true)
	pattern, err := destination.ParsePattern("/topic/a")
	require.NoError(t, err)
	_, err = d.histories.Replay(t.Context(), driver.ReplayRequest{History: "all", Pattern: pattern, After: place}, func(*driver.Message) error { return nil })
	require.ErrorIs(t, err, driver.ErrUnavailable)
	require.ErrorIs(t, err, errNewer)
	require.Zero(t, d.logged("a program published a message that names a history"))
}

// TestATopicIgnoresANewerMessage, counts it, and says so once.
func TestATopicIgnoresANewerMessage(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 100)
	got := make(chan *driver.Message, 10)
	_, err := d.bus.Subscribe("/user/ann/queue/a", func(m *driver.Message) { got <- m })
	require.NoError(t, err)
	other, err := nats.Connect(d.ClientURL())
	require.NoError(t, err)
	defer other.Close()
	send := func(body string) *nats.Msg {
		return encode("stompbox", &driver.Message{Key: "/user/ann/queue/a", Destination: "/user/queue/a", Body: []byte(body)})
	}
	for range 3 {
		require.NoError(t, other.PublishMsg(fromNewer(send("newer"))))
	}
	require.NoError(t, other.PublishMsg(send("this")))
	require.Equal(t, "this", string(receive(t, got).Body))
	require.Equal(t, 1, d.logged("a message cannot be read"))
	require.EqualValues(t, 3, d.Stats().Newer)
}

// TestAStreamOfANewerVersionIsNotUsed, neither to write nor to read.
func TestAStreamOfANewerVersionIsNotUsed(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 100)
	d.store(0)
	d.storeInQueue("/queue/a", "x", "")
	h := d.histories.streams.all["all"]
	name, err := d.histories.streams.nameOf(t.Context(), h)
	require.NoError(t, err)
	for _, stream := range []string{name, "stompbox_queues"} {
		found, err := d.link.js.Stream(t.Context(), stream)
		require.NoError(t, err)
		config := found.CachedInfo().Config
		require.Equal(t, "1", config.Metadata[metadataFormat])
		config.Metadata[metadataFormat] = "2"
		_, err = d.link.js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	h.reset()
	d.queues.streams.forget()
	for _, o := range []driver.StoreOptions{{History: "all"}, {}} {
		stored := make(chan error, 1)
		key := map[bool]string{true: "/queue/a", false: "/topic/a"}[o.History == ""]
		d.queues.Store(&driver.Message{Key: key, Destination: key, Body: []byte("x")}, o, func(err error) { stored <- err })
		err := <-stored
		require.ErrorIs(t, err, errNewer)
		require.ErrorIs(t, err, driver.ErrUnavailable)
		require.ErrorContains(t, err, "is of version 2, and this node reads up to 1")
	}
	_, err = d.queues.OpenQueue(t.Context(), "/queue/a", driver.QueueOptions{}, func(driver.Delivery) {})
	require.ErrorIs(t, err, errNewer)
}

// TestADataDirectoryOfANewerVersionIsNotOpened, and stays as it is.
func TestADataDirectoryOfANewerVersionIsNotOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, err := openDataDir(dir)
	require.NoError(t, err)
	data.close(true)
	file := filepath.Join(dir, "nats", formatFile)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "1\n", string(text))
	require.NoError(t, os.WriteFile(file, []byte("2\n"), 0o600))
	_, err = openDataDir(dir)
	require.ErrorContains(t, err, `is of version "2", and this build of stompbox reads up to 1`)
	_, err = os.Stat(filepath.Join(dir, "nats", runningFile))
	require.ErrorIs(t, err, os.ErrNotExist, "it was not touched")
}

// TestNodesKnowEachOthersVersion: what a newer one asks or says is left alone, and its
// hello is an error in the log.
func TestNodesKnowEachOthersVersion(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 100)
	heard := make(chan string, 10)
	require.NoError(t, d.members.OnBroadcast("test", func(_ string, body []byte) { heard <- string(body) }))
	require.NoError(t, d.members.HandleRequest("test", func(query []byte) []byte { return query }))
	other, err := nats.Connect(d.ClientURL())
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.Publish("stompbox.node.hello", []byte("n2 SERVER 1 second 2")))
	require.NoError(t, other.Publish("stompbox.node.hello", []byte("n3 SERVER 1 third")))
	require.NoError(t, other.PublishMsg(fromNewer(versioned("stompbox.node.tell.test.n2", []byte("newer")))))
	require.NoError(t, other.PublishMsg(versioned("stompbox.node.tell.test.n2", []byte("this"))))
	require.NoError(t, other.Publish("stompbox.node.tell.test.n3", []byte("older")))
	for _, want := range []string{"this", "older"} {
		select {
		case got := <-heard:
			require.Equal(t, want, got)
		case <-time.After(patience):
			t.Fatal("nothing came")
		}
	}
	ask := func(msg *nats.Msg) (string, error) {
		inbox := nats.NewInbox()
		sub, err := other.SubscribeSync(inbox + ".*")
		require.NoError(t, err)
		msg.Reply = inbox
		require.NoError(t, other.PublishMsg(msg))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		answer, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return "", err
		}
		return string(answer.Data), nil
	}
	require.NoError(t, other.PublishMsg(fromNewer(&nats.Msg{Subject: "stompbox.node.ask.test", Reply: "nowhere", Header: nats.Header{}})))
	answer, err := ask(versioned("stompbox.node.ask.test", []byte("what")))
	require.NoError(t, err)
	require.Equal(t, "what", answer)
	require.EqualValues(t, 2, d.Stats().Newer)
	require.Eventually(t, func() bool { return d.logged("another node is of a newer version") == 1 }, patience, 10*time.Millisecond)
	require.True(t, strings.Contains(d.said.String(), "peer=second"))
}
