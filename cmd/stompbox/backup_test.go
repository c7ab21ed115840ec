package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/test"
)

// durableHeaders are those of a durable subscription.
var durableHeaders = []string{"durable", "true", "auto-delete", "false", "ack", "client-individual"}

// TestABackupOfOneNodeGoesIntoACluster moves what a node keeps to three, of which one is
// killed then.
func TestABackupOfOneNodeGoesIntoACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const count = 50
	one := serve(t, nil, "--dev", "-c", historyConfig(t, 1))
	c := test.DialAddress(t, one.tcp).Connect()
	c.Subscribe("mine", "/topic/kept.a", durableHeaders...)
	c.Send(frames.UNSUBSCRIBE, "id", "mine", "receipt", "u")
	c.Receipt("u")
	for i := range count {
		n := strconv.Itoa(i)
		c.Send(frames.SEND, "destination", "/queue/orders", "dedup-id", n, "receipt", "q"+n, n)
		c.Receipt("q" + n)
		c.Send(frames.SEND, "destination", "/topic/kept.a", "receipt", "t"+n, n)
		c.Receipt("t" + n)
	}

	dir := filepath.Join(t.TempDir(), "backup")
	at := []string{"--url", "http://" + one.http}
	out, stderr, err := run(t, nil, append([]string{"backup", dir}, at...)...)
	require.NoError(t, err, stderr)
	require.Contains(t, out, strconv.Itoa(2*count)+" messages and 1 durable subscriptions")
	_, stderr, err = run(t, nil, append([]string{"backup", dir}, at...)...)
	require.Error(t, err)
	require.Contains(t, stderr, "is not empty")
	_, stderr, err = run(t, nil, append([]string{"restore", dir}, at...)...)
	require.Error(t, err)
	require.Contains(t, stderr, "409", "the node has its messages yet")
	one.stop(t)

	all := clusterOf(t, 3, nil, "-c", historyConfig(t, 3))
	at = []string{"--url", "http://" + all.node(1).http}
	out, stderr, err = run(t, nil, append([]string{"restore", dir}, at...)...)
	require.NoError(t, err, stderr)
	require.Contains(t, out, strconv.Itoa(2*count)+" messages and 1 durable subscriptions")
	all.node(1).kill(t)

	consumer := consumeAgain(t, all.node(2), "/queue/orders")
	consume(consumer, numbers(count))
	durable := subscribeAgain(t, all.node(0), "mine", "/topic/kept.a", durableHeaders...)
	for i := range count {
		m := durable.Message(strconv.Itoa(i))
		require.Equal(t, "true", m.Get("redelivered"), "it may have been delivered before the backup")
		durable.Send(frames.ACK, "id", m.Get("ack"))
	}
	follower := subscribeAgain(t, all.node(2), "s", "/topic/kept.**", "replay-last", "10000")
	for i := range count {
		follower.Message(strconv.Itoa(i))
	}
	all.start(1)
	all.node(1).ready(t)
	all.stop()
}

// fewCopies is an archive that takes all, and has no majority for one of its entries.
type fewCopies struct {
	driver.Archive
	imported chan string
}

func (fewCopies) CheckImport(context.Context, []driver.ArchiveEntry) error { return nil }

func (f fewCopies) Import(_ context.Context, entry driver.ArchiveEntry, r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	f.imported <- entry.Name
	if entry.Name == "first" {
		return fmt.Errorf("%w: of 3 nodes, only east is known to have all of it", driver.ErrNotReplicated)
	}
	return nil
}

// TestARestoreNamesWhatIsOnTooFewNodes after all is restored, and fails.
func TestARestoreNamesWhatIsOnTooFewNodes(t *testing.T) {
	t.Parallel()
	archive := fewCopies{imported: make(chan string, 2)}
	n := test.Start(t, test.Options{Wrap: func(d driver.Driver) driver.Driver {
		d.Archive = archive
		return d
	}})
	api := httptest.NewServer(httpapi.New(n.Broker, httpapi.Options{}))
	t.Cleanup(api.Close)
	dir := t.TempDir()
	m := manifest{Format: manifestFormat}
	for _, name := range []string{"first", "second"} {
		sum := sha256.Sum256([]byte(name))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
		m.Streams = append(m.Streams, manifestEntry{driver.ArchiveEntry{Name: name, Kind: "queues", Messages: 7}, name, int64(len(name)), hex.EncodeToString(sum[:])})
	}
	text, err := json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, manifestFile), text, 0o600))
	out, stderr, err := run(t, nil, "restore", dir, "--url", api.URL, "--token", test.Token(t, "operator", time.Hour, auth.AllGrants()))
	require.Error(t, err)
	require.Equal(t, "first", <-archive.imported)
	require.Equal(t, "second", <-archive.imported)
	require.Contains(t, out, "first: 7 messages")
	require.Contains(t, out, "14 messages and 0 durable subscriptions")
	require.Contains(t, stderr, "first: a majority of the nodes does not have all of it yet: of 3 nodes, only east is known to have all of it\n")
	require.NotContains(t, stderr, "second")
	require.Contains(t, stderr, notSafeRemedy)
}

// TestADamagedBackupIsRefused restores nothing of one that is not as it was written.
func TestADamagedBackupIsRefused(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--dev")
	c := test.DialAddress(t, p.tcp).Connect()
	c.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", "x")
	c.Receipt("r")
	at := []string{"--url", "http://" + p.http}
	for says, damage := range map[string]func(dir string, m *manifest){
		"checksum": func(dir string, m *manifest) {
			file := filepath.Join(dir, m.Streams[0].File)
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			data[len(data)/2]++
			require.NoError(t, os.WriteFile(file, data, 0o600))
		},
		"names a file elsewhere": func(_ string, m *manifest) { m.Streams[0].File = "../" + m.Streams[0].File },
		"is of format 2":         func(_ string, m *manifest) { m.Format = 2 },
	} {
		dir := filepath.Join(t.TempDir(), "backup")
		_, stderr, err := run(t, nil, append([]string{"backup", dir}, at...)...)
		require.NoError(t, err, stderr)
		file := filepath.Join(dir, manifestFile)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var m manifest
		require.NoError(t, json.Unmarshal(text, &m))
		require.Equal(t, manifestFormat, m.Format)
		damage(dir, &m)
		text, err = json.Marshal(m)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, text, 0o600))
		_, stderr, err = run(t, nil, append([]string{"restore", dir}, at...)...)
		require.Error(t, err)
		require.Contains(t, stderr, says)
		require.NoError(t, os.Remove(file))
		_, stderr, err = run(t, nil, append([]string{"restore", dir}, at...)...)
		require.Error(t, err)
		require.Contains(t, stderr, "it is no backup")
	}
	_, stderr, err := run(t, nil, "backup", filepath.Join(t.TempDir(), "b"), at[0], at[1], "--login", "nobody")
	require.Error(t, err)
	require.Contains(t, stderr, "401")
	p.stop(t)
}

// TestTheCommandsOfBackupsRunAsWritten takes them from the documentation.
func TestTheCommandsOfBackupsRunAsWritten(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "## Backups")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n### ")
	lines := regexp.MustCompile(`(?m)^stompbox .* \$ADMIN$`).FindAllString(section, -1)
	require.Len(t, lines, 2)
	from, to, dir := serve(t, nil, "--dev"), serve(t, nil, "--dev"), t.TempDir()
	c := test.DialAddress(t, from.tcp).Connect()
	c.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", "kept")
	c.Receipt("r")
	for i, p := range []*process{from, to} {
		words := strings.Fields(strings.TrimSuffix(lines[i], " $ADMIN"))
		require.Equal(t, "stompbox", words[0])
		cmd := command(t, nil, append(words[1:], "--url", "http://"+p.http)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	c = test.DialAddress(t, to.tcp).Connect()
	c.Subscribe("q", "/queue/a")
	c.Message("kept")
	from.stop(t)
	to.stop(t)
}
