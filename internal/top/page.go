package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/stompbox/stompbox/internal/printable"
)

// Page is how samples are shown.
type Page struct {
	Order Order
	// Sessions are how many are listed at most, and Width and Height what fits on a
	// screen; 0 is no limit.
	Sessions, Width, Height int
	// Outage says that the sample is not of now.
	Outage *Outage
}

// Outage is a time without answers.
type Outage struct {
	// For is how long ago the last answer came, and Cause why none came since, if that is known.
	For   time.Duration
	Cause string
}

// Lines returns the text of a sample, with rates since the one before. They have no
// control characters, whatever clients are called.
func (p Page) Lines(before, now *Sample) []string {
	if p.Outage != nil {
		before = new(Sample) // what passed then passes no more
	}
	lines := p.summary(before, now)
	lines = append(lines, p.nodes(before, now)...)
	sessions := sessionsWithRates(before, now)
	p.Order.sort(sessions)
	left := len(sessions)
	if p.Sessions > 0 {
		left = min(left, p.Sessions)
	}
	if p.Height > 0 {
		left = max(min(left, p.Height-len(lines)-1), 0)
	}
	lines = append(lines, p.list(sessions[:left], now.At)...)
	if p.Height > 0 && len(lines) > p.Height {
		lines = lines[:p.Height]
	}
	for i, line := range lines {
		lines[i] = Fit(line, p.Width)
	}
	return lines
}

// counted is a number of things.
func counted(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func (p Page) summary(before, now *Sample) []string {
	sum := nodeRates{unknown, unknown, unknown, unknown, unknown}
	for _, rates := range ratesOfNodes(before, now) {
		sum.add(rates)
	}
	var sessions, subscriptions int64
	for _, n := range now.Nodes {
		sessions, subscriptions = sessions+n.Sessions, subscriptions+n.Subscriptions
	}
	counts := strings.Join([]string{now.At.Format(time.TimeOnly), counted(int64(len(now.Nodes)), "node"), counted(sessions, "session"), counted(subscriptions, "subscription")}, "  ")
	if p.Outage != nil {
		first := "stompbox  NO ANSWER since " + age(p.Outage.For)
		if p.Outage.Cause != "" {
			first += ": " + p.Outage.Cause
		}
		return []string{first, "before that, at " + counts, ""}
	}
	first := "stompbox  " + counts
	// Those that are missing come first where not all fits.
	if len(now.Missing) > 0 {
		names := make([]string, len(now.Missing))
		for i, name := range now.Missing {
			names[i] = field(name)
		}
		first = "stompbox  NO ANSWER FROM " + strings.Join(names, " ") + "  " + counts
	}
	return []string{
		first,
		fmt.Sprintf("received %s/s  delivered %s/s  dropped %s/s  in %s/s  out %s/s", sum.received.count(), sum.delivered.count(), sum.dropped.count(), sum.in.bytes(), sum.out.bytes()),
		"",
	}
}

func (p Page) nodes(before, now *Sample) []string {
	rates := ratesOfNodes(before, now)
	rows := make([][]string, 0, len(now.Nodes)+len(now.Missing)+len(now.Lost))
	for _, n := range now.Nodes {
		state := n.State()
		if p.Outage != nil {
			state = "no answer"
		}
		r := rates[n.ID]
		rows = append(rows, []string{
			field(n.Name), age(now.At.Sub(n.Started)), state, fmt.Sprint(n.Sessions), fmt.Sprint(n.Subscriptions),
			r.received.count(), r.delivered.count(), r.dropped.count(), r.in.bytes(), r.out.bytes(),
		})
	}
	silent := func(name, state string) {
		rows = append(rows, []string{field(name), "-", state, "-", "-", "-", "-", "-", "-", "-"})
	}
	for _, name := range now.Missing {
		silent(name, "no answer")
	}
	for _, lost := range now.Lost {
		silent(lost.Name, "lost since "+age(now.At.Sub(lost.Since)))
	}
	columns := []column{
		{"NODE", 9}, {"UP", 1}, {"STATE", 8}, {"SESSIONS", 3}, {"SUBSCRIPTIONS", 0}, {"RECEIVED/s", 4}, {"DELIVERED/s", 6}, {"DROPPED/s", 7}, {"IN/s", 2}, {"OUT/s", 5},
	}
	return append(grid(columns, rows, p.Width), "")
}

func (p Page) list(sessions []session, at time.Time) []string {
	rows := make([][]string, 0, len(sessions))
	for _, s := range sessions {
		stuck := "-"
		if s.Writing >= 1 {
			stuck = age(time.Duration(s.Writing * float64(time.Second)))
		}
		rows = append(rows, []string{
			field(s.User), rate(s.QueuedBytes).bytes(), stuck, s.in.bytes(), s.out.bytes(),
			age(at.Sub(s.Connected)), field(s.Transport), field(s.Node), printable.Field(s.Remote), field(s.ID),
		})
	}
	columns := []column{
		{"USER", 9}, {"WAITING", 8}, {"STUCK", 7}, {"IN/s", 3}, {"OUT/s", 4}, {"AGE", 1}, {"TRANSPORT", 0}, {"NODE", 6}, {"REMOTE", 2}, {"SESSION", 5},
	}
	return grid(columns, rows, p.Width)
}

// field bounds a name to what a column has room for.
func field(name string) string { return Fit(printable.Field(name), 24) }

// Fit returns the beginning of a text that takes at most so many columns, without characters that
// would control a terminal, which become escapes; 0 is no limit.
func Fit(text string, width int) string {
	text = printable.Line(text)
	if width <= 0 || printable.Width(text) <= width {
		return text
	}
	return printable.Cut(text, width-1) + "…"
}

// count is a rate of messages.
func (r rate) count() string {
	switch {
	case r < 0:
		return "-"
	case r < 10 && r != rate(int64(r)):
		return fmt.Sprintf("%.1f", float64(r))
	}
	return r.scaled(1000, "kMG")
}

// bytes is a number of bytes, or a rate of them.
func (r rate) bytes() string {
	if r < 0 {
		return "-"
	}
	return r.scaled(1024, "KMGT")
}

// scaled has a unit of three digits at most before the point.
func (r rate) scaled(base rate, units string) string {
	if r < base {
		return fmt.Sprintf("%.0f", float64(r))
	}
	unit := 0
	for r /= base; r >= base && unit < len(units)-1; unit++ {
		r /= base
	}
	return fmt.Sprintf("%.1f%c", float64(r), units[unit])
}

// age is a duration in its two largest units.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
