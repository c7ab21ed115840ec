// Command peers runs the same loads against stompbox and other servers, in turns, with one
// load generator that checks every message, and writes docs/benchmarks.md and its charts.
// `make bench-peers` installs the servers and runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	folders
	rounds         int
	only, peers    string
	results, write string
	recovery       bool
}

func main() {
	var o options
	flag.StringVar(&o.stompbox, "stompbox", "bin/stompbox", "the program")
	flag.StringVar(&o.folders.peers, "folder", "bench/peers", "the folder of the peers")
	flag.StringVar(&o.binaries, "binaries", "bin/peers", "the folder of the peers in Go")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, of which the medians count")
	flag.StringVar(&o.only, "only", "", "loads to run, separated by commas; all by default")
	flag.StringVar(&o.peers, "peers", "", "peers to run, separated by commas; all by default")
	flag.BoolVar(&o.recovery, "recovery", false, "measure the share of messages that are delivered through failures")
	flag.StringVar(&o.results, "results", "bench/peers/results.json", "where results are kept, between runs of parts too")
	flag.StringVar(&o.write, "write", "", "folder of the documents to write from the results")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	for _, path := range []*string{&o.stompbox, &o.folders.peers, &o.binaries} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	r, err := loadResults(o.results)
	if err != nil {
		return err
	}
	if o.rounds > 0 {
		if o.recovery {
			err = measureRecovery(ctx, o, r)
		} else {
			err = measure(ctx, o, r)
		}
		if err != nil {
			return err
		}
	}
	if o.write == "" {
		return nil
	}
	return writeReport(o.write, r)
}

// results are all rounds of each figure, by peer.
type results struct {
	file     string
	Measured string                          `json:"measured"` // a date
	Machine  string                          `json:"machine"`
	Versions map[string]string               `json:"versions"`
	Rounds   map[string]map[string][]float64 `json:"rounds"`
	Recovery map[string]map[string][]float64 `json:"recovery"` // shares by failure
	Failed   map[string]string               `json:"failed"`   // what a peer did not get through, by peer and load
}

func loadResults(file string) (*results, error) {
	r := &results{file: file, Versions: map[string]string{}, Rounds: map[string]map[string][]float64{}, Recovery: map[string]map[string][]float64{}, Failed: map[string]string{}}
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(text, r)
}

func (r *results) save() error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.file, append(text, '\n'), 0o644) //nolint:gosec // everybody may read results
}

func chosen(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// measure runs all loads in turns: each round has all peers, one after the other, so that
// what else the machine does meets all of them.
func measure(ctx context.Context, o options, r *results) error {
	fresh := map[string]bool{}
	for round := range o.rounds {
		for _, p := range peers {
			if !chosen(o.peers, p.name) {
				continue
			}
			err := p.runAll(ctx, o, func(l load, got figures, err error) error {
				if err != nil {
					fmt.Printf("round %d, %s, %s: %v\n", round+1, p.name, l.name, err)
					r.Failed[p.name+" "+l.name] = err.Error()
					return r.save()
				}
				r.Versions[p.name] = p.version(o.folders)
				if r.Rounds[p.name] == nil {
					r.Rounds[p.name] = map[string][]float64{}
				}
				for name, figure := range got {
					if !fresh[p.name+name] { // those of an earlier run go
						fresh[p.name+name] = true
						r.Rounds[p.name][name] = nil
						delete(r.Failed, p.name+" "+l.name)
					}
					r.Rounds[p.name][name] = append(r.Rounds[p.name][name], figure)
					fmt.Printf("round %d, %s: %s %.3f\n", round+1, p.name, name, figure)
				}
				r.Measured, r.Machine = time.Now().Format("2 January 2006"), machine()
				return r.save()
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// runAll runs the loads that a peer can do. Those that measure memory have a server of
// their own, so that none inherits any; the others share one until a load fails.
func (p peer) runAll(ctx context.Context, o options, done func(load, figures, error) error) error {
	var shared *bench
	defer func() {
		if shared != nil {
			shared.stop()
		}
	}()
	for _, l := range loads {
		if !chosen(o.only, l.name) || (l.needs != nil && !l.needs(p)) {
			continue
		}
		b := shared
		var err error
		if b == nil || l.alone {
			if b, err = startBench(ctx, o.folders, p); err == nil && !l.alone {
				shared = b
				err = b.warm(ctx)
			}
		}
		var got figures
		if err == nil {
			limited, cancel := context.WithTimeout(ctx, 3*time.Minute)
			got, err = l.run(b, limited)
			cancel()
		}
		if b != nil && (l.alone || err != nil) {
			b.stop()
			if !l.alone {
				shared = nil
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := done(l, got, err); err != nil {
			return err
		}
	}
	return nil
}

// startBench starts a server of a peer.
func startBench(ctx context.Context, f folders, p peer) (*bench, error) {
	dir, err := os.MkdirTemp("", "bench-peers")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	process, err := p.start(ctx, f, port, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b := &bench{peer: p, process: process, dir: dir}
	if p.tokens {
		b.token, err = token()
	}
	return b, err
}

func (b *bench) stop() {
	b.process.stop()
	_ = os.RemoveAll(b.dir)
}

// warm lets compilers of running programs see some work before it counts.
func (b *bench) warm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if b.slow == 1 {
		return nil
	}
	_, err := b.fanoutTo(ctx, b.protocol, "warm", 100, 300, 16)
	return err
}

// machine names the processor and how many of its cores there are.
func machine() string {
	model := after("/proc/cpuinfo", "model name\t: ", "\n")
	text, _ := os.ReadFile("/proc/cpuinfo")
	if _, line, ok := strings.Cut(string(text), "model name\t: "); ok {
		model, _, _ = strings.Cut(line, "\n")
	}
	return fmt.Sprintf("%s, %d cores", strings.TrimSpace(model), strings.Count(string(text), "processor\t:"))
}
