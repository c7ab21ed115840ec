// Command peers runs the same loads against stompbox and other servers, in turns, with one
// load generator that checks every message, and writes docs/benchmarks.md and its charts.
// `make bench-peers` installs the servers and runs it.
package main

import (
	"context"
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
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "peers: %q is no flag\n", flag.Args())
		os.Exit(2)
	}
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
	c, err := o.choose()
	if err != nil {
		return err
	}
	var failed error
	switch {
	case o.rounds <= 0:
	case o.recovery:
		failed = measureRecovery(ctx, o, c, r)
	default:
		failed = measure(ctx, o, c, r)
	}
	if o.write == "" || ctx.Err() != nil {
		return failed
	}
	return errors.Join(failed, writeReport(o.write, r))
}

// split returns the names of a list, of which each has to be known; all where it is empty.
func split(flag, list string, known []string) ([]string, error) {
	if list == "" {
		return known, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-%s: %q is none of %s", flag, name, strings.Join(known, ", "))
		}
	}
	return names, nil
}

// choose returns the peers and the loads or failures that the flags name.
func (o options) choose() (c choice, err error) {
	var all, parts []string
	for _, p := range peers {
		all = append(all, p.name)
	}
	for _, l := range loads {
		parts = append(parts, l.name)
	}
	if o.recovery {
		parts = nil
		for _, f := range failures {
			parts = append(parts, f.name)
		}
	}
	if c.peers, err = split("peers", o.peers, all); err != nil {
		return c, err
	}
	if c.only, err = split("only", o.only, parts); err != nil || o.recovery {
		return c, err
	}
	for _, p := range peers {
		if c.has(p) && slices.ContainsFunc(loads, func(l load) bool { return c.runs(l, p) }) {
			return c, nil
		}
	}
	return c, errors.New("none of these peers can do any of these loads")
}

// choice is what is to be measured.
type choice struct{ peers, only []string }

func (c choice) has(p peer) bool { return slices.Contains(c.peers, p.name) }

// runs reports whether a peer does a load.
func (c choice) runs(l load, p peer) bool {
	return slices.Contains(c.only, l.name) && (l.needs == nil || l.needs(p))
}

func today() string { return time.Now().Format("2 January 2006") }

// measure runs all loads in turns: each round has all peers, one after the other, so that
// what else the machine does meets all of them. A load that fails ends no round; the error
// names all that did.
func measure(ctx context.Context, o options, c choice, r *results) error {
	s := newSession(r.Loads, today(), machine())
	for round := range o.rounds {
		for _, p := range peers {
			if !c.has(p) {
				continue
			}
			err := p.runAll(ctx, o, c, func(l load, got figures, others float64, err error) error {
				s.outcome(p.name, l.name, p.version(o.folders)).note(got, others, err)
				if err != nil {
					fmt.Printf("round %d, %s, %s: %v\n", round+1, p.name, l.name, err)
				}
				for name, figure := range got {
					fmt.Printf("round %d, %s: %s %.3f\n", round+1, p.name, name, figure)
				}
				return r.save()
			})
			if err != nil {
				return err
			}
		}
	}
	return errors.Join(s.finish(), r.save())
}

// lateTries is how often a round is tried in which the load generator falls behind the clock.
const lateTries = 3

// runAll runs the loads that a peer can do. Those that measure memory have a server of
// their own, so that none inherits any; the others share one until a load fails.
func (p peer) runAll(ctx context.Context, o options, c choice, done func(l load, got figures, others float64, err error) error) error {
	var shared *bench
	defer func() {
		if shared != nil {
			shared.stop()
		}
	}()
	for _, l := range loads {
		if !c.runs(l, p) {
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
		var others float64
		if err == nil {
			got, others, err = b.try(ctx, l)
			for tries := 1; tries < lateTries && errors.Is(err, errLate); tries++ {
				got, others, err = b.try(ctx, l)
			}
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
		if err := done(l, got, others, err); err != nil {
			return err
		}
	}
	return nil
}

// try runs a load, and returns the share of the machine's cores that other programs used
// meanwhile.
func (b *bench) try(ctx context.Context, l load) (got figures, others float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	before, ours := machineTimes(), ownCPU()+b.process.cpu()
	got, err = l.run(b, ctx)
	return got, machineTimes().since(before).others(ownCPU() + b.process.cpu() - ours), err
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
