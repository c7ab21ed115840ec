package printable

import "strings"

// Gap is the space between columns.
const Gap = 2

// Align returns rows as lines whose columns stand under each other. All rows have as many cells.
func Align(rows [][]string) []string {
	if len(rows) == 0 {
		return nil
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], Width(cell))
		}
	}
	lines := make([]string, len(rows))
	var b strings.Builder
	for at, row := range rows {
		b.Reset()
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-Width(cell)+Gap))
			}
		}
		lines[at] = strings.TrimRight(b.String(), " ")
	}
	return lines
}
