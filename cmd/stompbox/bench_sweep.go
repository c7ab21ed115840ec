package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
)

// sweep is a benchmark with several numbers of clients.
type sweep struct {
	numbers []int
	rounds  int
	idle    time.Duration
	charts  string
}

// addFlags adds the flags. Of is what the numbers count, and which says more of them.
func (s *sweep) addFlags(f *pflag.FlagSet, of, which string) {
	f.IntSliceVar(&s.numbers, of, s.numbers, "numbers of "+of+", "+which)
	f.IntVar(&s.rounds, "rounds", s.rounds, "rounds of each number; the medians are printed")
	f.DurationVar(&s.idle, "idle", s.idle, "how long idle "+of+" are measured")
	f.StringVar(&s.charts, "charts", "", "folder for charts as SVG")
}

// report is how a sweep shows what it measured.
type report[R any] struct {
	median func(rounds []R) R
	print  func(R)
	draw   func(all []R) map[string]string // charts by file name
}

// runSweep measures each number, prints the medians, and draws charts of them all.
func runSweep[R any](s sweep, of string, measure func(n int) (R, error), show report[R]) error {
	if s.charts != "" {
		if err := checkFolder(s.charts); err != nil {
			return fmt.Errorf("--charts: %w", err)
		}
	}
	var all []R
	for _, n := range s.numbers {
		rounds := make([]R, s.rounds)
		for i := range rounds {
			var err error
			if rounds[i], err = measure(n); err != nil {
				return fmt.Errorf("%d %s: %w", n, of, err)
			}
		}
		result := show.median(rounds)
		all = append(all, result)
		show.print(result)
	}
	if s.charts == "" {
		return nil
	}
	return writeCharts(s.charts, show.draw(all))
}

// checkFolder makes a folder, and looks whether a file can be written there.
func checkFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // everybody may read a chart
		return err
	}
	f, err := os.CreateTemp(dir, ".charts")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// writeCharts writes drawings by name into a folder.
func writeCharts(dir string, charts map[string]string) error {
	var errs []error
	for name, drawing := range charts {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(drawing), 0o644)) //nolint:gosec // everybody may read a chart
	}
	return errors.Join(errs...)
}
