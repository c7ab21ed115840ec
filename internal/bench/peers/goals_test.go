package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestGoalsFollowFromTheFigures: the medians of the rounds, against the best other server.
func TestGoalsFollowFromTheFigures(t *testing.T) {
	t.Parallel()
	r := newResults("")
	set := func(peer, name, figure string, rounds ...float64) {
		if r.Loads[peer] == nil {
			r.Loads[peer] = map[string]*outcome{}
		}
		if r.Loads[peer][name] == nil {
			r.Loads[peer][name] = of("today", map[string][]float64{})
		}
		r.Loads[peer][name].Figures[figure] = rounds
	}
	set("stompbox", "fanout", "fanout CPU s/M", .1, .44, .9)
	set("NATS", "fanout", "fanout CPU s/M", 2)
	set("Centrifugo", "fanout", "fanout CPU s/M", .5, 1, 3)
	set("stompbox", "rooms", "rooms p99 ms", 5)
	set("Socket.IO", "rooms", "rooms p99 ms", 4)
	set("stompbox", "connects", "connects per s", 5999)
	set("stompbox", "idle", "idle KB", 8)
	set("stompbox", "fanout-1", "fanout-1 CPU s/M", 1)
	set("NATS", "fanout-1", "fanout-1 CPU s/M", 9)
	r.Loads["stompbox"]["fanout-1"].Failed = "lost"
	set("stompbox", "queue", "queue per s", 50_000)
	text := written(t, r)
	for _, want := range []string{
		"| fan-out to 1000, 64 in flight: CPU | at most 0.45 of the best other server | 0.44 of Centrifugo | yes |\n",
		"| fan-out to 1000, 1 in flight: CPU | at most 0.7 of the best other server | not measured | - |\n",
		"| rooms: p99 | at most 1 of the best other server | 1.25 of Socket.IO | no |\n",
		"| connects/s | at least 6,000 | 6,000 | no |\n",
		"| KB of an idle connection | at most 8 | 8 | yes |\n",
		"| durable queue: messages/s | at least 45,000 | 50,000 | yes |\n",
		"| ping-pong: p50 | at most 0.8 of the best other server | not measured | - |\n",
	} {
		assert.Contains(t, text, want)
	}
	known := map[string]bool{}
	for _, columns := range tables {
		for _, c := range columns {
			known[c.figure] = true
		}
	}
	for _, g := range goals {
		assert.True(t, known[g.figure], "%s is in no table", g.figure)
	}
}
