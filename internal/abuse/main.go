package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	maxGrowth = 256 << 20 // bytes of memory that a node may grow by in all attacks
	maxSlower = 3         // times as slow as when it is quiet that the slowest hundredth may be
	// minSlow is what no site notices, so that a quiet machine's microseconds are not held
	// against a busy one's.
	minSlow = 50 * time.Millisecond
	// tries is how often an attack is compared that seems to make others slow, each time with
	// a quiet time right before it: a machine that many share has seconds of its own.
	tries = 5
)

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/stompbox", "the program under test")
	flag.DurationVar(&o.each, "each", 8*time.Second, "how long each attack takes")
	flag.StringVar(&o.only, "only", "", "the name of one attack, in place of all")
	flag.StringVar(&o.attack, "attack", "", "carry out an attack in this process, on the node of the next flags")
	flag.StringVar(&o.target.HTTP, "target-http", "", "the node's HTTP address")
	flag.StringVar(&o.target.STOMP, "target-stomp", "", "the node's STOMP address")
	flag.StringVar(&o.target.Token, "target-token", "", "the hostile user's token")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := o.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	binary, only, attack string
	each                 time.Duration
	target               target
}

func (o *options) run(ctx context.Context) error {
	if o.attack != "" {
		return carryOut(ctx, o.attack, &o.target)
	}
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "stompbox-abuse-")
	if err != nil {
		return err
	}
	n, err := startNode(ctx, binary, dir)
	if err != nil {
		return err
	}
	faults, err := o.compare(ctx, n)
	if err = errors.Join(err, n.stop()); err != nil {
		return fmt.Errorf("%w\nthe node's log is in %s", err, dir)
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s\nthe node's log is in %s", strings.Join(faults, "\n"), dir)
	}
	return os.RemoveAll(dir)
}

// compare measures the clients that behave while it is quiet, and in each attack. It
// returns what they have noticed.
func (o *options) compare(ctx context.Context, n *node) (faults []string, err error) {
	c, err := startCrowd(ctx, n)
	if err != nil {
		return nil, err
	}
	defer c.close()
	fmt.Printf("%-24s %10s %10s %10s\n", "", "p50", "p99", "memory")
	if _, err := o.phase(ctx, n, c, quiet); err != nil { // what is slow at first is not compared
		return nil, err
	}
	before, err := n.memory()
	if err != nil {
		return nil, err
	}
	calm, err := o.phase(ctx, n, c, quiet)
	if err != nil {
		return nil, err
	}
	for _, a := range attacks {
		if o.only != "" && a.name != o.only || a.name == quiet {
			continue
		}
		m, err := o.phase(ctx, n, c, a.name)
		if err != nil {
			return nil, err
		}
		grown := m.memory - before
		for try := 1; try < tries && m.slows(calm); try++ {
			if calm, err = o.phase(ctx, n, c, quiet); err != nil {
				return nil, err
			}
			if m, err = o.phase(ctx, n, c, a.name); err != nil {
				return nil, err
			}
			grown = max(grown, m.memory-before)
		}
		if m.slows(calm) {
			faults = append(faults, fmt.Sprintf("%s: p99 is %s; it is %s while it is quiet", a.name, m.p99, calm.p99))
		}
		if grown > maxGrowth {
			faults = append(faults, fmt.Sprintf("%s: the node has grown by %d MiB", a.name, grown>>20))
		}
	}
	return append(faults, c.settle(ctx)...), ctx.Err()
}

// slows reports whether clients were served that much more slowly than in a quiet phase.
func (m measure) slows(calm measure) bool { return m.p99 > max(maxSlower*calm.p99, minSlow) }

// phase has one attack carried out for a while.
func (o *options) phase(ctx context.Context, n *node, c *crowd, attack string) (measure, error) {
	a, err := n.attacker(ctx, attack)
	if err != nil {
		return measure{}, err
	}
	sleep(ctx, time.Second)
	c.begin()
	peak := n.watch(ctx, o.each)
	m := c.end()
	m.memory = peak
	if err := a.stop(); err != nil {
		return m, fmt.Errorf("%s: %w", attack, err)
	}
	fmt.Printf("%-24s %10s %10s %7d MiB\n", attack, m.p50.Round(10*time.Microsecond), m.p99.Round(10*time.Microsecond), m.memory>>20)
	return m, ctx.Err()
}

// sleep waits, and reports false when ctx ends meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
