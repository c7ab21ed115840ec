package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/stompbox/stompbox/internal/printable"
)

// table writes columns. What a cell has from outside forges no row and no column, and controls no
// terminal.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer, columns ...string) *table {
	t := &table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.line(columns)
	return t
}

func (t *table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = printable.Field(fmt.Sprint(cell))
	}
	t.line(texts)
}

func (t *table) line(cells []string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

func (t *table) flush() error { return t.w.Flush() }
