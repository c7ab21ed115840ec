package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Series is one line of a chart, or one bar of each group.
type Series struct {
	Name   string
	Values []float64 // NaN: not measured
}

// colors differ also for readers who see few of them.
var colors = []string{"#4f46e5", "#d97706", "#059669", "#db2777", "#64748b", "#0891b2", "#7c3aed"}

const (
	chartWidth, chartHeight          = 760, 360
	left, right, top, bottom float64 = 70, 20, 64, 46
)

// svg begins and ends a chart.
func svg(height int, title string, parts []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="%s">`+"\n", chartWidth, height, html.EscapeString(title))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<text x="20" y="24" font-size="15" font-weight="600" fill="#0f172a">%s</text>`+"\n", html.EscapeString(title))
	b.WriteString(strings.Join(parts, "\n"))
	b.WriteString("\n</svg>\n")
	return b.String()
}

// Lines draws values over x, both on logarithmic scales. Where a cost is the same for each
// of many, its line is level.
func Lines(title, xName, yName string, x []float64, all []Series) string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range all {
		for _, v := range s.Values {
			if v > 0 {
				low, high = math.Min(low, v), math.Max(high, v)
			}
		}
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	if high <= low {
		high = low * 10
	}
	place := func(v, from, to, at, end float64) float64 {
		return at + (math.Log(v)-math.Log(from))/(math.Log(to)-math.Log(from))*(end-at)
	}
	px := func(v float64) float64 { return place(v, x[0], x[len(x)-1], left, chartWidth-right) }
	py := func(v float64) float64 { return place(v, low, high, chartHeight-bottom, top) }
	var parts []string
	for v := low; v <= high*1.001; v *= 10 {
		parts = append(parts, fmt.Sprintf(`<line x1="%.0f" y1="%.1f" x2="%.0f" y2="%.1f" stroke="#e2e8f0"/><text x="%.0f" y="%.1f" text-anchor="end" fill="#475569">%s</text>`,
			left, py(v), chartWidth-right, py(v), left-6, py(v)+4, Short(v)))
	}
	for _, v := range x {
		parts = append(parts, fmt.Sprintf(`<text x="%.1f" y="%.0f" text-anchor="middle" fill="#475569">%s</text>`, px(v), chartHeight-bottom+18, Short(v)))
	}
	parts = append(parts,
		fmt.Sprintf(`<text x="%.0f" y="%d" text-anchor="middle" fill="#475569">%s</text>`, (left+chartWidth-right)/2, chartHeight-8, html.EscapeString(xName)),
		fmt.Sprintf(`<text x="14" y="%.0f" fill="#475569" transform="rotate(-90 14 %.0f)" text-anchor="middle">%s</text>`, (top+chartHeight-bottom)/2, (top+chartHeight-bottom)/2, html.EscapeString(yName)))
	at := left
	for i, s := range all {
		var points []string
		for j, v := range s.Values {
			if v > 0 {
				points = append(points, fmt.Sprintf("%.1f,%.1f", px(x[j]), py(v)))
				parts = append(parts, fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, px(x[j]), py(v), colors[i%len(colors)]))
			}
		}
		parts = append(parts,
			fmt.Sprintf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(points, " "), colors[i%len(colors)]),
			legend(&at, 46, s.Name, i))
	}
	return svg(chartHeight, title, parts)
}

// legend draws one entry, and moves at behind it.
func legend(at *float64, y int, name string, i int) string {
	entry := fmt.Sprintf(`<rect x="%.0f" y="%d" width="10" height="10" fill="%s"/><text x="%.0f" y="%d" fill="#0f172a">%s</text>`,
		*at, y-9, colors[i%len(colors)], *at+14, y, html.EscapeString(name))
	*at += float64(30 + 7*len(name))
	return entry
}

const (
	barHeight, barGap = 15, 3
	barsLeft          = 220
)

// Bars draws a group of bars for each name, with its value next to each bar. A value that
// was not measured has no bar. The longest bar of a group fills the chart where each group
// has a scale of its own.
func Bars(title string, names []string, all []Series, ownScale bool, format func(float64) string) string {
	longest := 0.0
	for _, s := range all {
		for _, v := range s.Values {
			longest = math.Max(longest, v)
		}
	}
	var parts []string
	y := int(top) - 2
	at := 20.0
	for i, s := range all {
		if len(all) > 1 {
			parts = append(parts, legend(&at, 46, s.Name, i))
		}
	}
	if len(all) == 1 {
		y = 40
	}
	for g, name := range names {
		scale := longest
		if ownScale {
			scale = 0
			for _, s := range all {
				scale = math.Max(scale, s.Values[g])
			}
		}
		group := y
		for i, s := range all {
			v := s.Values[g]
			if math.IsNaN(v) {
				continue
			}
			width := 0.0
			if scale > 0 {
				width = v / scale * (chartWidth - barsLeft - 90)
			}
			color := i
			if len(all) == 1 && g > 0 {
				color = 4 // the first one is ours
			}
			parts = append(parts, fmt.Sprintf(`<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d" fill="#0f172a">%s</text>`,
				barsLeft, y, math.Max(width, 1), barHeight, colors[color%len(colors)], barsLeft+math.Max(width, 1)+6, y+12, format(v)))
			y += barHeight + barGap
		}
		parts = append(parts, fmt.Sprintf(`<text x="%d" y="%d" text-anchor="end" fill="#0f172a">%s</text>`, barsLeft-10, (group+y)/2+3, html.EscapeString(name)))
		if len(all) > 1 {
			y += 12
		} else {
			y += 4
		}
	}
	return svg(y+14, title, parts)
}

// Short writes a figure with at most three digits, and k or M for large ones.
func Short(v float64) string {
	switch {
	case v >= 1e6:
		return trim(v/1e6) + "M"
	case v >= 1e4:
		return trim(v/1e3) + "k"
	default:
		return trim(v)
	}
}

func trim(v float64) string {
	digits := 0
	if v < 100 && v > 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(v))))
	}
	text := fmt.Sprintf("%.*f", digits, v)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
