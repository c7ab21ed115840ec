package main

import (
	_ "embed"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	tools "github.com/stompbox/stompbox/internal/bench"
)

// page is what docs/benchmarks.md says around the figures.
//
//go:embed page.md
var page string

// column is a figure in a table.
type column struct {
	figure, title string
}

// tables are those of the page, by the name that stands in its text.
var tables = map[string][]column{
	"fanout":   {{"fanout CPU s/M", "64 in flight: CPU s per million deliveries"}, {"fanout deliveries/s", "deliveries/s"}, {"fanout-1 CPU s/M", "1 in flight: CPU s per million"}, {"fanout-1 ms per message", "ms until all have a message"}, {"fanout-5000 CPU s/M", "to 5000, 64 in flight: CPU s per million"}},
	"latency":  {{"rooms p50 ms", "rooms: p50, ms"}, {"rooms p99 ms", "p99, ms"}, {"rooms CPU s/M", "CPU s per million"}, {"pingpong p50 ms", "ping-pong: p50, ms"}, {"pingpong p99 ms", "p99, ms"}, {"pingpong CPU s/M", "CPU s per million"}},
	"memory":   {{"idle KB", "KB an idle connection"}, {"idle us/s", "us of CPU a connection and second"}, {"idle server MB", "MB of a server without any"}},
	"connects": {{"connects per s", "connects/s"}, {"connects CPU ms", "ms of CPU each"}},
	"queues":   {{"queue per s", "messages/s in and out"}, {"queue CPU s/M", "CPU s per million"}},
	"sse":      {{"sse CPU s/M", "CPU s per million deliveries"}, {"sse deliveries/s", "deliveries/s"}, {"sse KB", "KB an idle stream"}},
}

func writeReport(dir string, r *results) error {
	text := page
	for name, columns := range tables {
		text = strings.ReplaceAll(text, "{{"+name+"}}\n", r.table(columns))
	}
	text = strings.ReplaceAll(text, "{{recovery}}\n", r.recoveryTable())
	text = strings.ReplaceAll(text, "{{peers}}\n", r.peerTable())
	text = strings.ReplaceAll(text, "{{measured}}", r.Measured)
	text = strings.ReplaceAll(text, "{{machine}}", r.Machine)
	errs := []error{os.WriteFile(filepath.Join(dir, "benchmarks.md"), []byte(text), 0o644)} //nolint:gosec // everybody may read a document
	for name, drawing := range r.charts() {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(drawing), 0o644)) //nolint:gosec // and a chart
	}
	return errors.Join(errs...)
}

// figure returns what counts of a figure, or NaN.
func (r *results) figure(peer, figure string) float64 {
	all := r.Rounds[peer][figure]
	if len(all) == 0 {
		return math.NaN()
	}
	return representative(figure, all)
}

// timed reports whether a figure is by the clock. What else the machine does only adds to
// such a one, so that the quietest round says most; CPU and memory have medians.
func timed(figure string) (isTimed, moreIsBetter bool) {
	if strings.HasSuffix(figure, "/s") && !strings.HasSuffix(figure, "us/s") || strings.HasSuffix(figure, " per s") {
		return true, true
	}
	return strings.HasSuffix(figure, " ms") && !strings.Contains(figure, "CPU") || strings.HasSuffix(figure, " ms per message"), false
}

// representative is the figure of all rounds that counts.
func representative(figure string, all []float64) float64 {
	isTimed, more := timed(figure)
	switch {
	case !isTimed:
		return tools.Median(all)
	case more:
		return slices.Max(all)
	}
	return slices.Min(all)
}

// table has a row for each peer that was measured, and in each cell what counts and, where
// there is more than one round, the range of CPU and memory.
func (r *results) table(columns []column) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, c := range columns {
		b.WriteString(" " + c.title + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, p := range peers {
		row, measured := "| "+p.name+" |", false
		for _, c := range columns {
			all := r.Rounds[p.name][c.figure]
			if len(all) == 0 {
				row += " - |"
				continue
			}
			measured = true
			row += " " + short(representative(c.figure, all))
			isTimed, _ := timed(c.figure)
			if low, high := slices.Min(all), slices.Max(all); !isTimed && short(low) != short(high) {
				row += fmt.Sprintf(" (%s to %s)", short(low), short(high))
			}
			row += " |"
		}
		if measured {
			b.WriteString(row + "\n")
		}
	}
	return b.String()
}

// short writes a figure with three digits, and thousands with a comma.
func short(v float64) string {
	if v < 1000 {
		return tools.Short(v)
	}
	digits := fmt.Sprintf("%.0f", math.Round(v/100)*100)
	if v < 10_000 {
		digits = fmt.Sprintf("%.0f", math.Round(v/10)*10)
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func (r *results) peerTable() string {
	var b strings.Builder
	b.WriteString("| | version | as measured |\n|---|---|---|\n")
	for _, p := range peers {
		if r.Versions[p.name] != "" {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", p.name, r.Versions[p.name], p.setup)
		}
	}
	return b.String()
}

// recoveryTable has the lowest and the highest share of the rounds.
func (r *results) recoveryTable() string {
	var b strings.Builder
	b.WriteString("| |")
	for _, f := range failures {
		b.WriteString(" " + f.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(failures)) + "\n")
	for _, p := range peers {
		if len(r.Recovery[p.name]) == 0 {
			continue
		}
		b.WriteString("| " + p.name + " |")
		for _, f := range failures {
			all := r.Recovery[p.name][f.name]
			if len(all) == 0 {
				b.WriteString(" - |")
				continue
			}
			low, high := share(slices.Min(all)), share(slices.Max(all))
			if low != high {
				low += " to " + high
			}
			b.WriteString(" " + low + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// share writes a share in percent. What is less than all never reads as 100.
func share(s float64) string {
	if s == 1 {
		return "100 %"
	}
	return fmt.Sprintf("%.1f %%", math.Min(math.Floor(s*1000)/10, 99.9))
}

// chart is one of the drawings.
type chart struct {
	file, title, figure string
	format              func(float64) string
}

func (r *results) charts() map[string]string {
	with := func(unit string) func(float64) string {
		return func(v float64) string { return short(v) + unit }
	}
	drawings := map[string]string{}
	for _, c := range []chart{
		{"benchmarks-fanout.svg", "One message to 1000 clients, 64 in flight: CPU seconds per million deliveries", "fanout CPU s/M", with("")},
		{"benchmarks-latency.svg", "500 clients in 50 rooms: 99 % of messages arrive within, ms", "rooms p99 ms", with(" ms")},
		{"benchmarks-memory.svg", "Memory of an idle connection with a destination of its own", "idle KB", with(" KB")},
		{"benchmarks-connects.svg", "Connects with a token and a subscription, each second", "connects per s", with("")},
		{"benchmarks-queues.svg", "Durable queue: messages in and out, each second", "queue per s", with("")},
		{"benchmarks-sse.svg", "One message to 1000 streams of events: CPU seconds per million deliveries", "sse CPU s/M", with("")},
	} {
		var names []string
		var values []float64
		for _, p := range peers {
			if v := r.figure(p.name, c.figure); !math.IsNaN(v) {
				names, values = append(names, p.name), append(values, v)
			}
		}
		if len(names) > 0 {
			drawings[c.file] = tools.Bars(c.title, names, []tools.Series{{Name: c.figure, Values: values}}, false, c.format)
		}
	}
	if drawing := r.recoveryChart(); drawing != "" {
		drawings["benchmarks-recovery.svg"] = drawing
	}
	return drawings
}

// recoveryChart shows the lowest share of all rounds.
func (r *results) recoveryChart() string {
	var series []tools.Series
	names := make([]string, len(failures))
	for i, f := range failures {
		names[i] = f.name
	}
	for _, p := range peers {
		if len(r.Recovery[p.name]) == 0 {
			continue
		}
		values := make([]float64, len(failures))
		for i, f := range failures {
			values[i] = math.NaN()
			if all := r.Recovery[p.name][f.name]; len(all) > 0 {
				values[i] = slices.Min(all)
			}
		}
		series = append(series, tools.Series{Name: p.name, Values: values})
	}
	if len(series) == 0 {
		return ""
	}
	return tools.Bars("Share of confirmed messages that arrive through a failure, the lowest of all rounds", names, series, false, share)
}
