package main

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
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
	for name, part := range map[string]string{
		"recovery": r.recoveryTable(), "peers": r.peerTable(), "notes": r.notes(), "goals": r.goalTable(),
	} {
		text = strings.ReplaceAll(text, "{{"+name+"}}\n", part)
	}
	text = strings.ReplaceAll(text, "{{machines}}", strings.Join(r.machines(), ", and on "))
	errs := []error{os.WriteFile(filepath.Join(dir, "benchmarks.md"), []byte(text), 0o644)} //nolint:gosec // everybody may read a document
	for name, drawing := range r.charts() {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(drawing), 0o644)) //nolint:gosec // and a chart
	}
	return errors.Join(errs...)
}

// table has a row for each peer that was measured, and in each cell the median and, where
// there is more than one round, the lowest and the highest.
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
			o := r.find(p.name, c.figure)
			measured = measured || o != nil
			row += " " + o.cell(c.figure) + " |"
		}
		if measured {
			b.WriteString(row + "\n")
		}
	}
	return b.String()
}

// cell is what a table has of a figure.
func (o *outcome) cell(figure string) string {
	switch {
	case o == nil:
		return "-"
	case len(o.rounds(figure)) == 0:
		return "failed"
	}
	all := o.rounds(figure)
	text := short(tools.Median(all))
	if low, high := short(slices.Min(all)), short(slices.Max(all)); low != high {
		text += " (" + low + " to " + high + ")"
	}
	return text
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

// peerTable says of each server what was measured, and when.
func (r *results) peerTable() string {
	var b strings.Builder
	b.WriteString("| | version | as measured | rounds | cores used by other programs |\n|---|---|---|---|---|\n")
	var order []string
	for _, l := range loads {
		order = append(order, l.name)
	}
	for _, p := range peers {
		if all := r.Loads[p.name]; len(all) > 0 {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", p.name, versions(all), p.setup, r.origins(all, order), others(all))
		}
	}
	return b.String()
}

// versions names those that were measured.
func versions(all map[string]*outcome) string {
	found := map[string]bool{}
	for _, o := range all {
		found[o.Version] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), ", ")
}

// others is the lowest and the highest share of the machine that other programs used.
func others(all map[string]*outcome) string {
	var shares []float64
	for _, o := range all {
		shares = append(shares, o.Others...)
	}
	if len(shares) == 0 {
		return "unknown"
	}
	low, high := fmt.Sprintf("%.0f", slices.Min(shares)*100), fmt.Sprintf("%.0f", slices.Max(shares)*100)
	if low != high {
		low += " to " + high
	}
	return low + " %"
}

// machines names those of all figures.
func (r *results) machines() []string {
	found := map[string]bool{}
	for _, part := range []map[string]map[string]*outcome{r.Loads, r.Recovery} {
		for _, all := range part {
			for _, o := range all {
				found[o.Machine] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// origins says how many rounds there were of each load or failure, and when. What most have
// in common comes first, without their names.
func (r *results) origins(all map[string]*outcome, order []string) string {
	names := map[string][]string{} // by what is said of them
	var said []string
	several := strings.Contains(versions(all), ", ")
	for _, name := range order {
		o := all[name]
		if o == nil {
			continue
		}
		text := o.origins(several, len(r.machines()) > 1)
		if names[text] == nil {
			said = append(said, text)
		}
		names[text] = append(names[text], name)
	}
	slices.SortStableFunc(said, func(a, b string) int { return len(names[b]) - len(names[a]) })
	for i, text := range said {
		if i > 0 {
			said[i] = strings.Join(names[text], ", ") + ": " + text
		}
	}
	return strings.Join(said, "; ")
}

// origins says how many rounds there were and when, and of what where that differs.
func (o *outcome) origins(withVersion, withMachine bool) string {
	text := plural(o.count(), "round", "rounds")
	if o.count() == 0 {
		text = "failed"
	}
	text += " on " + o.Measured
	if withVersion {
		text += " of " + o.Version
	}
	if withMachine {
		text += " (" + o.Machine + ")"
	}
	return text
}

// recoveryTable has the lowest and the highest share of the rounds.
func (r *results) recoveryTable() string {
	var b strings.Builder
	b.WriteString("| |")
	var order []string
	for _, f := range failures {
		b.WriteString(" " + f.name + " |")
		order = append(order, f.name)
	}
	b.WriteString(" rounds |\n|---|" + strings.Repeat("---|", len(failures)+1) + "\n")
	for _, p := range peers {
		kept := r.Recovery[p.name]
		if len(kept) == 0 {
			continue
		}
		b.WriteString("| " + p.name + " |")
		for _, f := range failures {
			b.WriteString(" " + kept[f.name].shares() + " |")
		}
		b.WriteString(" " + r.origins(kept, order) + " |\n")
	}
	return b.String()
}

// shares is what the table of failures has of one.
func (o *outcome) shares() string {
	switch {
	case o == nil:
		return "-"
	case len(o.rounds(recoveryShare)) == 0:
		return "failed"
	}
	low, high := share(slices.Min(o.rounds(recoveryShare))), share(slices.Max(o.rounds(recoveryShare)))
	if low != high {
		low += " to " + high
	}
	return low
}

// notes says what failed and why, and which rounds do not count.
func (r *results) notes() string {
	var b strings.Builder
	for _, part := range []map[string]map[string]*outcome{r.Loads, r.Recovery} {
		for _, p := range peers {
			for _, name := range slices.Sorted(maps.Keys(part[p.name])) {
				o := part[p.name][name]
				if o.Failed != "" {
					fmt.Fprintf(&b, "- %s, %s failed: `%s`\n", p.name, name, strings.NewReplacer("`", "'", "\n", " ").Replace(o.Failed))
				}
				if o.Late > 0 {
					fmt.Fprintf(&b, "- %s, %s: %s not count, since %v.\n", p.name, name, plural(o.Late, "round does", "rounds do"), errLate)
				}
			}
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

func plural(n int, single, several string) string {
	if n == 1 {
		return "1 " + single
	}
	return fmt.Sprintf("%d %s", n, several)
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
			if o := r.Recovery[p.name][f.name]; o != nil && len(o.rounds(recoveryShare)) > 0 {
				values[i] = slices.Min(o.rounds(recoveryShare))
			}
		}
		series = append(series, tools.Series{Name: p.name, Values: values})
	}
	if len(series) == 0 {
		return ""
	}
	return tools.Bars("Share of confirmed messages that arrive through a failure, the lowest of all rounds", names, series, false, share)
}
