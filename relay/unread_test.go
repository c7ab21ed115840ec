package relay_test

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/relay"
)

// logged is a log that tests read.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func keeps(t *testing.T, name, match string) driver.HistoryPolicy {
	t.Helper()
	pattern, err := destination.ParsePattern(match)
	require.NoError(t, err)
	return driver.HistoryPolicy{Name: name, Match: pattern}
}

// TestWhatNoSettingReadsIsNamedAtTheStart: a store keeps it until its limits remove it.
func TestWhatNoSettingReadsIsNamedAtTheStart(t *testing.T) {
	t.Parallel()
	transient := func(queue string) bool { return strings.HasPrefix(queue, "/queue/tmp") }
	before := relay.Options{Histories: relay.HistorySettings{Policies: []driver.HistoryPolicy{keeps(t, "chat", "/topic/**")}}}
	for name, c := range map[string]struct {
		after relay.Options
		warns string
	}{
		"history renamed": {
			relay.Options{Histories: relay.HistorySettings{Policies: []driver.HistoryPolicy{keeps(t, "talk", "/topic/**")}}},
			"history.policies does not name",
		},
		"history narrowed": {
			relay.Options{Histories: relay.HistorySettings{Policies: []driver.HistoryPolicy{keeps(t, "chat", "/topic/b")}}},
			"history=chat destinations=1 such_as=/topic/a messages=2",
		},
		"another history before": {
			relay.Options{Histories: relay.HistorySettings{Policies: []driver.HistoryPolicy{keeps(t, "first", "/topic/a"), keeps(t, "chat", "/topic/**")}}},
			"history=chat destinations=1 such_as=/topic/a messages=2",
		},
		"queue with limits transient": {
			relay.Options{Histories: before.Histories, Queues: relay.QueueSettings{Transient: transient}},
			"queues=1 such_as=/queue/tmp.limited messages=1",
		},
		"queue without limits transient": {
			relay.Options{Histories: before.Histories, Queues: relay.QueueSettings{Transient: transient}},
			"queues=1 such_as=/queue/tmp.a messages=1",
		},
		"another prefix": {relay.Options{Histories: before.Histories, Prefix: "other"}, "another nats.prefix"},
		"nothing":        {before, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r, err := relay.Embed(relay.EmbeddedOptions{DataDir: dir}, before)
			require.NoError(t, err)
			store(t, r, "/topic/a", driver.StoreOptions{History: "chat"}, "1")
			store(t, r, "/topic/a", driver.StoreOptions{History: "chat"}, "2")
			store(t, r, "/topic/b", driver.StoreOptions{History: "chat"}, "3")
			store(t, r, "/queue/tmp.a", driver.StoreOptions{}, "4")
			store(t, r, "/queue/b", driver.StoreOptions{}, "5")
			store(t, r, "/queue/tmp.limited", driver.StoreOptions{Queue: driver.QueueOptions{MaxMessages: 5}}, "6")
			r.Close()

			log := new(logged)
			c.after.Logger = slog.New(slog.NewTextHandler(log, nil))
			r, err = relay.Embed(relay.EmbeddedOptions{DataDir: dir}, c.after)
			require.NoError(t, err)
			defer r.Close()
			if c.warns == "" {
				store(t, r, "/queue/tmp.a", driver.StoreOptions{}, "7")
				require.NotContains(t, log.String(), "level=WARN")
				return
			}
			require.Eventually(t, func() bool { return strings.Contains(log.String(), c.warns) }, 20*time.Second, time.Millisecond, "%s", log)
		})
	}
}

// TestTheDataOfANodeAloneIsNotTakenIntoACluster, where NATS would remove it.
func TestTheDataOfANodeAloneIsNotTakenIntoACluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := relay.Embed(relay.EmbeddedOptions{DataDir: dir}, relay.Options{})
	require.NoError(t, err)
	require.NoError(t, relay.CheckDataDir(dir), "nothing is kept yet")
	store(t, r, "/queue/a", driver.StoreOptions{}, "1")
	r.Close()
	cluster := &relay.ClusterOptions{Name: "c", Node: "n1", Host: "127.0.0.1", Port: -1}
	const alone = "is of a node that ran alone"
	require.ErrorContains(t, relay.CheckDataDir(dir), alone)
	_, err = relay.Embed(relay.EmbeddedOptions{DataDir: dir, Cluster: cluster}, relay.Options{})
	require.ErrorContains(t, err, alone)

	got := make(chan driver.Delivery, 1)
	text := new(logged)
	r, err = relay.Embed(relay.EmbeddedOptions{DataDir: dir}, relay.Options{Logger: slog.New(slog.NewTextHandler(text, nil))})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	require.Contains(t, text.String(), "stopped_well=true", "what was refused left nothing")
	q, err := r.Driver().Queues.OpenQueue(t.Context(), "/queue/a", driver.QueueOptions{}, func(d driver.Delivery) { got <- d })
	require.NoError(t, err)
	next(t, q, got, "1")
	require.NoError(t, relay.CheckDataDir(filepath.Join(dir, "none")))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "nats", "jetstream", "$SYS", "_js_", "_meta_"), 0o700))
	require.NoError(t, relay.CheckDataDir(dir), "it is of a cluster")
}

// TestANodeSaysThatItsDataDirectoryIsOfAnother node's name, or of a cluster.
func TestANodeSaysThatItsDataDirectoryIsOfAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	starts := func(node string) string {
		log := new(logged)
		e := relay.EmbeddedOptions{DataDir: dir}
		if node != "" {
			host, port, err := net.SplitHostPort(test.Address(t))
			require.NoError(t, err)
			n, err := strconv.Atoi(port)
			require.NoError(t, err)
			e.Cluster = &relay.ClusterOptions{Name: "c", Node: node, Host: host, Port: n, Peers: []string{net.JoinHostPort(host, port)}}
		}
		r, err := relay.Embed(e, relay.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		require.NoError(t, err)
		r.Close()
		return log.String()
	}
	require.NotContains(t, starts("n1"), "another name")
	require.Contains(t, starts("n2"), "node=n2 before=n1")
	require.Contains(t, starts("n2"), "node=n2 before=n1", "it is out of reach yet")
	require.NotContains(t, starts("n1"), "another name")
	require.Contains(t, starts(""), "is of a node of a cluster")
}
