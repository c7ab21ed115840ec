package main

import (
	"fmt"
	"math"
	"strings"
)

// goal is what stompbox is to reach in one figure.
type goal struct {
	name, figure string
	limit        float64
	// more: the limit is the least. Where it is false, the limit is the most.
	more bool
	// share: the limit is a share of what the best other server has.
	share bool
}

var goals = []goal{
	{name: "fan-out to 1000, 64 in flight: CPU", figure: "fanout CPU s/M", limit: .45, share: true},
	{name: "fan-out to 1000, 1 in flight: CPU", figure: "fanout-1 CPU s/M", limit: .7, share: true},
	{name: "fan-out to 5000, 64 in flight: CPU", figure: "fanout-5000 CPU s/M", limit: .2, share: true},
	{name: "rooms: CPU", figure: "rooms CPU s/M", limit: .8, share: true},
	{name: "rooms: p99", figure: "rooms p99 ms", limit: 1, share: true},
	{name: "ping-pong: CPU", figure: "pingpong CPU s/M", limit: .65, share: true},
	{name: "ping-pong: p50", figure: "pingpong p50 ms", limit: .8, share: true},
	{name: "KB of an idle connection", figure: "idle KB", limit: 8},
	{name: "connects/s", figure: "connects per s", limit: 6000, more: true},
	{name: "durable queue: messages/s", figure: "queue per s", limit: 45_000, more: true},
	{name: "durable queue: CPU s per million", figure: "queue CPU s/M", limit: 30},
}

// goalTable says what is reached, by the medians that the other tables have.
func (r *results) goalTable() string {
	var b strings.Builder
	b.WriteString("| goal | limit | measured | reached |\n|---|---|---|---|\n")
	for _, g := range goals {
		measured, of := r.figure("stompbox", g.figure), ""
		if g.share {
			best, name := r.bestOther(g.figure)
			measured /= best
			of = " of " + name
		}
		if math.IsNaN(measured) {
			fmt.Fprintf(&b, "| %s | %s | not measured | - |\n", g.name, g.limitText())
			continue
		}
		reached := "no"
		if g.more && measured >= g.limit || !g.more && measured <= g.limit {
			reached = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s%s | %s |\n", g.name, g.limitText(), short(measured), of, reached)
	}
	return b.String()
}

func (g goal) limitText() string {
	text := "at most "
	if g.more {
		text = "at least "
	}
	text += short(g.limit)
	if g.share {
		text += " of the best other server"
	}
	return text
}

// bestOther returns the lowest figure of the other servers, and whose it is.
func (r *results) bestOther(figure string) (best float64, name string) {
	best = math.NaN()
	for _, p := range peers {
		if v := r.figure(p.name, figure); p.name != "stompbox" && !math.IsNaN(v) && !(v >= best) {
			best, name = v, p.name
		}
	}
	return best, name
}
