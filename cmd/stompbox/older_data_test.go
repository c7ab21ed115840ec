package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// olderData returns a data directory that an older build left: the last one from before data
// directories had a version. It was stopped while consumers held messages.
func olderData(t *testing.T) string {
	t.Helper()
	file, err := os.Open("testdata/older-data.tar.gz")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	dir := t.TempDir()
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		require.NoError(t, err)
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(path, 0o700))
			continue
		}
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
}

// TestDataOfAnOlderBuildIsAllThere: messages that were confirmed, with what is known of their
// deliveries, dedup ids, places in histories, durable subscriptions, dead letters and bans.
func TestDataOfAnOlderBuildIsAllThere(t *testing.T) {
	t.Parallel()
	dir := olderData(t)
	file := filepath.Join(t.TempDir(), "stompbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
queues:
  dedup_window: 87600h
  policies: [{ match: "/queue/limited.**", max_messages: 1000 }]
history:
  durable_idle: 87600h
  policies: [{ name: chat, match: "/topic/chat.**", max_messages: 1000 }]
`), 0o600))
	p := serve(t, nil, "--dev", "-c", file, "--data-dir", dir)
	p.ready(t)
	p.says(t, `the store is open.* queues=3 messages=10 histories=1 kept_messages=8 durable_subscriptions=1`)
	c := test.DialAddress(t, p.tcp).Connect()
	send := func(destination, id, body string) {
		t.Helper()
		c.Send(frames.SEND, "destination", destination, "dedup-id", id, "receipt", destination+id, body)
		c.Receipt(destination + id)
	}

	// One of the orders was acknowledged. Its dedup id is known as well as those of the others.
	for i := range 5 {
		n := strconv.Itoa(i)
		send("/queue/orders", "id-"+n, "repeated")
		send("/queue/limited.jobs", "id-"+n, "repeated")
		send("/topic/chat.a", "t-"+n, "repeated")
	}
	take := func(queue, redelivered string, bodies ...string) {
		t.Helper()
		send(queue, "new", "new")
		consumer := test.DialAddress(t, p.tcp).Connect()
		consumer.Subscribe("q", queue, "ack", "client-individual")
		for _, body := range bodies {
			m := consumer.Message(body)
			require.Equal(t, redelivered, m.Get("redelivered"), body)
			require.Equal(t, "k"+body[len(body)-1:], m.Get("kind"))
		}
		consumer.Message("new")
	}
	take("/queue/orders", "true", "orders-0", "orders-2", "orders-3", "orders-4")
	take("/queue/limited.jobs", "", "limited.jobs-0", "limited.jobs-1", "limited.jobs-2", "limited.jobs-3", "limited.jobs-4")
	dead := test.DialAddress(t, p.tcp).Connect()
	dead.Subscribe("d", "/queue/DLQ.bad")
	require.Equal(t, "/queue/bad", dead.Message("bad").Get("dead-letter-origin"))

	// Places of a topic and of a pattern.
	replay := func(destination, place string, bodies ...string) {
		t.Helper()
		follower := test.DialAddress(t, p.tcp).Connect()
		follower.Send(frames.SUBSCRIBE, "id", "f", "destination", destination, "last-event-id", place, "receipt", "r")
		for _, body := range bodies {
			require.Empty(t, follower.Message(body).Get("replay"), body)
		}
		require.Empty(t, follower.Expect(frames.RECEIPT).Get("replay"))
	}
	replay("/topic/chat.a", "mwyeufm7.0r5zkiim-3", "a-2", "a-3", "a-4", "a-5")
	replay("/topic/chat.*", "mwyeufm7./topic/chat.*-6", "a-5", "b-0")

	// A durable subscription that had acknowledged the first two.
	durable := subscribeAgain(t, p, "d", "/topic/chat.a", durableHeaders...)
	for _, body := range []string{"a-2", "a-3", "a-4", "a-5"} {
		require.Equal(t, "true", durable.Message(body).Get("redelivered"), body)
	}

	status, token := get(t, "http://"+p.http+"/dev/token?user=mallory")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, http.StatusForbidden, post(t, "http://"+p.http+"/api/queues/purge?destination=/queue/orders", "Bearer "+token))
	p.stop(t)
}
