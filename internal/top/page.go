package top

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// Page is how samples are shown.
type Page struct {
	Order Order
	// Sessions are how many are listed at most, and Width and Height what fits on a
	// screen; 0 is no limit.
	Sessions, Width, Height int
}

// Lines returns the text of a sample, with rates since the one before. They have no
// control characters, whatever clients are called.
func (p Page) Lines(before, now *Sample) []string {
	lines := summary(before, now)
	lines = append(lines, nodes(before, now)...)
	sessions := sessionsWithRates(before, now)
	p.Order.sort(sessions)
	left := len(sessions)
	if p.Sessions > 0 {
		left = min(left, p.Sessions)
	}
	if p.Height > 0 {
		left = max(min(left, p.Height-len(lines)-1), 0)
	}
	lines = append(lines, list(sessions[:left], now.At)...)
	if p.Height > 0 && len(lines) > p.Height {
		lines = lines[:p.Height]
	}
	for i, line := range lines {
		lines[i] = Fit(line, p.Width)
	}
	return lines
}

func summary(before, now *Sample) []string {
	sum := nodeRates{unknown, unknown, unknown, unknown, unknown}
	for _, rates := range ratesOfNodes(before, now) {
		sum.add(rates)
	}
	var sessions, subscriptions int64
	for _, n := range now.Nodes {
		sessions, subscriptions = sessions+n.Sessions, subscriptions+n.Subscriptions
	}
	first := fmt.Sprintf("stompbox  %s  %d nodes  %d sessions  %d subscriptions", now.At.Format(time.TimeOnly), len(now.Nodes), sessions, subscriptions)
	if len(now.Missing) > 0 {
		first += "  NO ANSWER FROM " + strings.Join(now.Missing, " ")
	}
	return []string{
		first,
		fmt.Sprintf("received %s/s  delivered %s/s  dropped %s/s  in %s/s  out %s/s", sum.received.count(), sum.delivered.count(), sum.dropped.count(), sum.in.bytes(), sum.out.bytes()),
		"",
	}
}

func nodes(before, now *Sample) []string {
	rates := ratesOfNodes(before, now)
	rows := make([]string, 0, len(now.Nodes)+1)
	rows = append(rows, "NODE\tUP\tSTATE\tSESSIONS\tSUBSCRIPTIONS\tRECEIVED/s\tDELIVERED/s\tDROPPED/s\tIN/s\tOUT/s")
	for _, n := range now.Nodes {
		r := rates[n.ID]
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s", field(n.Name), age(now.At.Sub(n.Started)), n.State(), n.Sessions, n.Subscriptions,
			r.received.count(), r.delivered.count(), r.dropped.count(), r.in.bytes(), r.out.bytes()))
	}
	return append(columns(rows), "")
}

func list(sessions []session, at time.Time) []string {
	rows := make([]string, 0, len(sessions)+1)
	rows = append(rows, "USER\tWAITING\tSTUCK\tIN/s\tOUT/s\tAGE\tTRANSPORT\tNODE\tREMOTE\tSESSION")
	for _, s := range sessions {
		stuck := "-"
		if s.Writing >= 1 {
			stuck = age(time.Duration(s.Writing * float64(time.Second)))
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", field(s.User), rate(s.QueuedBytes).bytes(), stuck, s.in.bytes(), s.out.bytes(),
			age(at.Sub(s.Connected)), s.Transport, field(s.Node), s.Remote, s.ID))
	}
	return columns(rows)
}

// columns aligns fields that tabs part.
func columns(rows []string) []string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(rows, "\n"))
	_ = w.Flush()
	return strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
}

// field bounds a name to what a column has room for.
func field(name string) string { return Fit(name, 24) }

// Fit returns the beginning of a text that has at most so many characters, without those
// that would control a terminal; 0 is no limit.
func Fit(text string, width int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
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
