package relay

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// TestNodesMakeOneHistory: nodes that begin at the same time, on a server that is no
// cluster, agree on one stream. With two, each message would be in both.
func TestNodesMakeOneHistory(t *testing.T) {
	t.Parallel()
	var settings HistorySettings
	for n := range 20 {
		match, err := destination.ParsePattern("/topic/room" + strconv.Itoa(n) + ".**")
		require.NoError(t, err)
		settings.Policies = append(settings.Policies, driver.HistoryPolicy{Name: "room" + strconv.Itoa(n), Match: match, MaxMessages: 1})
	}
	first, err := Embed(EmbeddedOptions{DataDir: t.TempDir(), Port: -1}, Options{Histories: settings})
	require.NoError(t, err)
	t.Cleanup(first.Close)
	nodes := []*Relay{first}
	for range 2 {
		r, err := Dial(Options{URL: first.ClientURL(), Histories: settings})
		require.NoError(t, err)
		t.Cleanup(r.Close)
		nodes = append(nodes, r)
	}
	for _, p := range settings.Policies {
		var asked sync.WaitGroup
		names := make([]string, len(nodes))
		for i, r := range nodes {
			asked.Go(func() {
				streams := r.histories.streams
				streams.forget()
				name, err := streams.nameOf(t.Context(), streams.all[p.Name])
				assert.NoError(t, err)
				names[i] = name
			})
		}
		asked.Wait()
		require.NotEmpty(t, names[0])
		require.Equal(t, []string{names[0], names[0], names[0]}, names)
	}
	made := 0
	for name := range first.link.js.StreamNames(t.Context(), jetstream.WithStreamListSubject("stompbox.history.>")).Name() {
		require.NotEmpty(t, name)
		made++
	}
	require.Equal(t, len(settings.Policies), made)
	for name := range first.link.js.StreamNames(t.Context(), jetstream.WithStreamListSubject("stompbox.making.>")).Name() {
		require.Empty(t, name, "a lock was left behind")
	}
}

// TestALockThatWasLeftIsRemoved: its node died while it made the history.
func TestALockThatWasLeftIsRemoved(t *testing.T) {
	t.Parallel()
	match, err := destination.ParsePattern("/topic/**")
	require.NoError(t, err)
	r, err := Embed(EmbeddedOptions{DataDir: t.TempDir()}, Options{Histories: HistorySettings{Policies: []driver.HistoryPolicy{{Name: "all", Match: match}}}})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	streams := r.histories.streams
	h := streams.all["all"]
	if name, err := streams.nameOf(t.Context(), h); err == nil { // it was made at the start
		require.NoError(t, r.link.js.DeleteStream(t.Context(), name))
	}
	_, err = streams.lockMaking(t.Context(), h)
	require.NoError(t, err)
	streams.forget()
	name, err := streams.nameOf(t.Context(), h)
	require.NoError(t, err)
	require.Contains(t, name, "stompbox_history_all_")
}

// TestAHistoryIsMadeForACallerThatLeaves: a session that ends while its history is made, such
// as by an error, leaves no lock behind for which the next one waits.
func TestAHistoryIsMadeForACallerThatLeaves(t *testing.T) {
	t.Parallel()
	match, err := destination.ParsePattern("/topic/room.**")
	require.NoError(t, err)
	settings := HistorySettings{Policies: []driver.HistoryPolicy{{Name: "room", Match: match, MaxMessages: 1}}}
	r, err := Embed(EmbeddedOptions{DataDir: t.TempDir()}, Options{Histories: settings})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	streams := r.histories.streams
	left, leave := context.WithCancel(t.Context())
	leave()
	made, _, err := streams.makeStream(left, streams.all["room"])
	require.NoError(t, err)
	name, err := streams.nameOf(t.Context(), streams.all["room"])
	require.NoError(t, err)
	require.Equal(t, made, name)
	for name := range r.link.js.StreamNames(t.Context(), jetstream.WithStreamListSubject("stompbox.making.>")).Name() {
		require.Empty(t, name, "a lock was left behind")
	}
}
