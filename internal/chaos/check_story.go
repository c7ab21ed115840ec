package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// clock writes a time of the ledger.
func clock(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

// maxTries is how many of the first and of the last tries a story has.
const maxTries = 3

// story tells what happened to a message, in the order of time.
func (c *checker) story(m *message) string {
	type event struct {
		at   time.Duration
		text string
	}
	var events []event
	add := func(at time.Duration, format string, args ...any) {
		events = append(events, event{at, fmt.Sprintf(format, args...)})
	}
	last := time.Duration(0)
	for i, t := range m.tries {
		if i == maxTries && len(m.tries) > 2*maxTries {
			add(t.at, "and %d more tries", len(m.tries)-2*maxTries)
		}
		if i >= maxTries && i < len(m.tries)-maxTries {
			continue
		}
		add(t.at, "sent over n%d, try %d", t.node, i+1)
		if t.ended > 0 {
			add(t.ended, "%s", t.outcome)
		}
		last = max(last, t.at, t.ended)
	}
	for _, d := range m.deliveries {
		mark := ""
		if d.redelivered {
			mark = ", redelivered"
		}
		if d.incomplete {
			mark += ", replay:incomplete"
		}
		add(d.at, "read by %s on its connection %d to n%d as %s%s", d.reader.name, d.connection, d.node, d.id, mark)
		if d.acked > 0 {
			add(d.acked, "an ACK of %s was confirmed", d.reader.name)
		}
		last = max(last, d.at)
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	var b strings.Builder
	fmt.Fprintf(&b, "  message %q", m.body)
	if m.transaction != nil {
		fmt.Fprintf(&b, " of transaction %s", m.transaction.name)
	}
	for _, e := range events {
		fmt.Fprintf(&b, "\n    %9s  %s", clock(e.at), e.text)
	}
	if len(m.tries) > 0 {
		b.WriteString(c.faultsBetween(m.tries[0].at-faultEcho, last))
	}
	return b.String()
}

// faultsBetween lists what happened to nodes between two times.
func (c *checker) faultsBetween(from, to time.Duration) string {
	var b strings.Builder
	for _, f := range c.ledger.faults {
		if f.at <= to && f.over >= from {
			fmt.Fprintf(&b, "\n    %9s  fault: %s n%d until %s", clock(f.at), f.kind, f.node, clock(f.over))
		}
	}
	return b.String()
}

// connectionsAt lists the connections that a reader had around the life of a message.
func (c *checker) connectionsAt(r *reader, m *message) string {
	var b strings.Builder
	from := m.tries[0].at
	for i, conn := range r.connections {
		if conn.at < from+faultEcho && (conn.ended == 0 || conn.ended > from-faultEcho) {
			fmt.Fprintf(&b, "\n    %9s  %s's connection %d to n%d, subscribed at %s, until %s: %s", clock(conn.at), r.name, i, conn.node, clock(conn.subscribed), clock(conn.ended), conn.why)
		}
	}
	return b.String()
}
