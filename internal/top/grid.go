package top

import "github.com/stompbox/stompbox/internal/printable"

// column is one of a list. Those of the lowest rank are left out first where not all fit.
type column struct {
	name string
	rank int
}

// grid aligns rows under their columns. It leaves out as many columns as it takes to fit in a width,
// where there is one, but never the first.
func grid(columns []column, rows [][]string, width int) []string {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = len(c.name)
		for _, row := range rows {
			widths[i] = max(widths[i], printable.Width(row[i]))
		}
	}
	shown := fitting(columns, widths, width)
	picked := make([][]string, 0, len(rows)+1)
	pick := func(cell func(i int) string) {
		cells := make([]string, len(shown))
		for at, i := range shown {
			cells[at] = cell(i)
		}
		picked = append(picked, cells)
	}
	pick(func(i int) string { return columns[i].name })
	for _, row := range rows {
		pick(func(i int) string { return row[i] })
	}
	return printable.Align(picked)
}

// fitting returns the columns that are shown, in their order.
func fitting(columns []column, widths []int, width int) []int {
	shown, total := make([]int, len(columns)), -printable.Gap
	for i := range columns {
		shown[i], total = i, total+widths[i]+printable.Gap
	}
	for width > 0 && total > width && len(shown) > 1 {
		least := 1
		for at := range shown {
			if at > 0 && columns[shown[at]].rank < columns[shown[least]].rank {
				least = at
			}
		}
		total -= widths[shown[least]] + printable.Gap
		shown = append(shown[:least], shown[least+1:]...)
	}
	return shown
}
