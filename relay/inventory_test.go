package relay

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/test/local"
)

// openAgain opens a data directory until the end of fn, and returns what was logged of the
// store.
func openAgain(t *testing.T, dir string, fn func(d *deaf)) (open string, less []string) {
	t.Helper()
	match, err := destination.ParsePattern("/topic/**")
	require.NoError(t, err)
	d := &deaf{t: t, got: make(chan *driver.Message, 100)}
	d.Relay, err = Embed(EmbeddedOptions{DataDir: dir}, Options{
		Logger:    slog.New(slog.NewTextHandler(&d.said, nil)),
		Histories: HistorySettings{Policies: []driver.HistoryPolicy{{Name: "all", Match: match}}},
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return d.logged("the store is open") > 0 }, patience, 10*time.Millisecond)
	if fn != nil {
		fn(d)
	}
	d.Close()
	for line := range strings.Lines(d.said.String()) {
		switch {
		case strings.Contains(line, "the store is open"):
			open = line
		case strings.Contains(line, "the store has less than before"):
			less = append(less, line)
		}
	}
	return open, less
}

// TestAStartSaysWhatIsThereAndWhatThereWas, after a good end and after damage.
func TestAStartSaysWhatIsThereAndWhatThereWas(t *testing.T) {
	t.Parallel()
	fill := func(d *deaf) {
		d.openDurable().Close(nil)
		for n := range 3 {
			d.storeAt("/topic/a", n)
			d.storeInQueue("/queue/a", "x", "")
		}
		d.storeInQueue("/queue/b", "x", "")
	}
	const streams = "nats/jetstream/$G/streams/"
	for name, damage := range map[string]struct {
		path string // is removed
		what string
	}{
		"nothing":                {"none", ""},
		"the queues":             {streams + "stompbox_queues", "it is gone"},
		"the history's messages": {streams + "stompbox_history_all_*/msgs", "it ends before"},
		"a durable subscription": {streams + "stompbox_history_all_*/obs/*", "durable subscriptions are missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open, less := openAgain(t, dir, fill)
			require.Contains(t, open, "queues=0 messages=0")
			require.Empty(t, less)
			found, err := filepath.Glob(filepath.Join(dir, damage.path))
			require.NoError(t, err)
			for _, path := range found {
				require.NoError(t, os.RemoveAll(path))
			}
			open, less = openAgain(t, dir, nil)
			require.Contains(t, open, "stopped_well=true")
			if damage.what == "" {
				require.Contains(t, open, "queues=2 messages=4 histories=1 kept_messages=3 durable_subscriptions=1")
				require.Empty(t, less)
				return
			}
			require.Len(t, less, 1)
			require.Contains(t, less[0], damage.what)
			require.Contains(t, less[0], "level=WARN")
			_, less = openAgain(t, dir, nil)
			require.Empty(t, less, "it is said once")
		})
	}
}

// TestAStartAfterAKillKnowsWhatWasConfirmed, though it was not written down since.
func TestAStartAfterAKillKnowsWhatWasConfirmed(t *testing.T) {
	t.Parallel()
	running := t.TempDir()
	killed := func(t *testing.T) string {
		dir := t.TempDir()
		require.NoError(t, local.CopyFiles(dir, running))
		return dir
	}
	const streams = "nats/jetstream/$G/streams/"
	openAgain(t, running, func(d *deaf) {
		for n := range 3 {
			d.storeAt("/topic/a", n)
			d.storeInQueue("/queue/a", "x", "")
		}
		for name, damage := range map[string]struct {
			path string
			do   func(path string) error
			less []string
		}{
			"nothing":                   {"none", nil, nil},
			"the end of the queues":     {streams + "stompbox_queues/msgs/1.blk", func(path string) error { return os.Truncate(path, 200) }, []string{"stompbox_queues"}},
			"all messages of queues":    {streams + "stompbox_queues/msgs/1.blk", os.Remove, []string{"stompbox_queues"}},
			"the stream of queues":      {streams + "stompbox_queues", os.RemoveAll, []string{"stompbox_queues"}},
			"all messages of a history": {streams + "stompbox_history_all_*/msgs/1.blk", os.Remove, []string{"stompbox_history_all"}},
			"a history":                 {streams + "stompbox_history_all_*", os.RemoveAll, []string{"stompbox_history_all"}},
		} {
			t.Run(name, func(t *testing.T) {
				dir := killed(t)
				found, err := filepath.Glob(filepath.Join(dir, damage.path))
				require.NoError(t, err)
				for _, path := range found {
					require.NoError(t, damage.do(path))
				}
				_, less := openAgain(t, dir, nil)
				require.Len(t, less, len(damage.less), "%s", less)
				for i, stream := range damage.less {
					require.Contains(t, less[i], stream)
					require.Contains(t, less[i], "level=WARN")
					require.Contains(t, less[i], "had=3")
				}
				_, less = openAgain(t, dir, nil)
				require.Empty(t, less, "it is said once")
			})
		}
	})
}

// TestWhatTheServerSaysOfEachStreamIsLogged: one line of each kind would hide the others.
func TestWhatTheServerSaysOfEachStreamIsLogged(t *testing.T) {
	t.Parallel()
	var said local.Log
	n := &natsLogger{log: slog.New(slog.NewTextHandler(&said, nil)), failed: make(chan struct{}, 1)}
	for range 3 {
		for _, stream := range []string{"a", "b", "c"} {
			n.Warnf("  Error recreating stream %q: %v", stream, "bad")
		}
	}
	require.Equal(t, 3, strings.Count(said.String(), "Error recreating stream"))
	for i := range 100 {
		n.Warnf("message %d was dropped", i)
	}
	require.Equal(t, maxSaid, strings.Count(said.String(), "was dropped"))
}

// TestADurableSubscriptionThatLostItsPlaceGetsAllAgain, all since it was made: the file that
// says what it had is gone.
func TestADurableSubscriptionThatLostItsPlaceGetsAllAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openAgain(t, dir, func(d *deaf) {
		d.storeAt("/topic/a", 0)
		durable := d.openDurable()
		for n := range 3 {
			d.storeAt("/topic/a", n+1)
		}
		durable.takes("/topic/a 1", false)
		durable.Close(nil)
	})
	found, err := filepath.Glob(filepath.Join(dir, "nats/jetstream/$G/streams/stompbox_history_all_*/obs/*/o.dat"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, os.Remove(found[0]))
	openAgain(t, dir, func(d *deaf) {
		durable := d.openDurable()
		for _, body := range []string{"/topic/a 1", "/topic/a 2", "/topic/a 3"} {
			durable.takes(body, false)
		}
		durable.Close(nil)
	})
}

// TestADurableSubscriptionIsMadeByTheFirstOfMany that join it while messages come.
func TestADurableSubscriptionIsMadeByTheFirstOfMany(t *testing.T) {
	t.Parallel()
	openAgain(t, t.TempDir(), func(d *deaf) {
		pattern, err := destination.ParsePattern("/topic/a")
		require.NoError(t, err)
		for n := range 20 {
			d.storeAt("/topic/a", n)
			subscription := driver.DurableSubscription{History: "all", Name: fmt.Sprint("user", n), Pattern: pattern}
			opened := make(chan error, 8)
			for range cap(opened) {
				go func() {
					q, err := d.histories.OpenDurable(t.Context(), subscription, func(driver.Delivery) {})
					if err == nil {
						q.Close(nil)
					}
					opened <- err
				}()
			}
			for i := range cap(opened) {
				d.storeAt("/topic/a", 100*(n+1)+i)
				require.NoError(t, <-opened)
			}
		}
	})
}

// TestAStartSaysThatBansAreGone, by which users come in again.
func TestAStartSaysThatBansAreGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openAgain(t, dir, func(d *deaf) {
		require.NoError(t, d.Driver().Bans.PutBan(t.Context(), "user eve", []byte("{}"), time.Now().Add(time.Hour)))
	})
	_, less := openAgain(t, dir, nil)
	require.Empty(t, less)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "nats/jetstream/$G/streams/KV_stompbox_bans/msgs")))
	_, less = openAgain(t, dir, nil)
	require.Len(t, less, 1)
	require.Contains(t, less[0], "KV_stompbox_bans")
	require.Contains(t, less[0], "it ends before what it had")
}
