package main

import (
	"fmt"
	"io"

	"github.com/stompbox/stompbox/internal/printable"
)

// table writes columns. What a cell has from outside forges no row and no column, and controls no
// terminal.
type table struct {
	out  io.Writer
	rows [][]string
}

func newTable(out io.Writer, columns ...string) *table {
	return &table{out, [][]string{columns}}
}

func (t *table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = printable.Field(fmt.Sprint(cell))
	}
	t.rows = append(t.rows, texts)
}

func (t *table) flush() error {
	for _, line := range printable.Align(t.rows) {
		if _, err := fmt.Fprintln(t.out, line); err != nil {
			return err
		}
	}
	return nil
}
