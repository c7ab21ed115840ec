package top

import (
	"strings"
	"unicode/utf8"
)

// column is one of a list. Those of the lowest rank are left out first where not all fit.
type column struct {
	name string
	rank int
}

// gap is the space between columns.
const gap = 2

// grid aligns rows under their columns. It leaves out as many columns as it takes to fit in a width,
// where there is one, but never the first.
func grid(columns []column, rows [][]string, width int) []string {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = len(c.name)
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	shown := fitting(columns, widths, width)
	lines := make([]string, 0, len(rows)+1)
	line := func(cell func(i int) string) {
		var b strings.Builder
		for at, i := range shown {
			text := cell(i)
			b.WriteString(text)
			if at < len(shown)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+gap))
			}
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	line(func(i int) string { return columns[i].name })
	for _, row := range rows {
		line(func(i int) string { return row[i] })
	}
	return lines
}

// fitting returns the columns that are shown, in their order.
func fitting(columns []column, widths []int, width int) []int {
	shown, total := make([]int, len(columns)), -gap
	for i := range columns {
		shown[i], total = i, total+widths[i]+gap
	}
	for width > 0 && total > width && len(shown) > 1 {
		least := 1
		for at := range shown {
			if at > 0 && columns[shown[at]].rank < columns[shown[least]].rank {
				least = at
			}
		}
		total -= widths[shown[least]] + gap
		shown = append(shown[:least], shown[least+1:]...)
	}
	return shown
}
