package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// step is one fault of a schedule. All of a schedule comes from its seed.
type step struct {
	after time.Duration // the step before it
	kind  string
	node  int
	lasts time.Duration
}

// faultKinds are what can happen to a node, with how often each does.
var faultKinds = []struct {
	kind   string
	weight int
}{
	{"kill", 6}, {"pause", 4}, {"restart", 3}, {"silence", 3}, {"disconnect", 2}, {"deafness", 1}, {"muteness", 1}, {"split", 2}, {"kill all", 1},
}

// schedule returns what happens within a time.
func schedule(seed uint64, within time.Duration) (steps []step) {
	random := rand.New(rand.NewPCG(seed, 0))
	total := 0
	for _, k := range faultKinds {
		total += k.weight
	}
	for at := time.Duration(0); ; {
		s := step{after: time.Duration(1000+random.IntN(7000)) * time.Millisecond, node: random.IntN(nodeCount)}
		n := random.IntN(total)
		for _, k := range faultKinds {
			if n -= k.weight; n < 0 {
				s.kind = k.kind
				break
			}
		}
		switch s.kind {
		case "kill", "kill all":
			s.lasts = time.Duration(random.IntN(5000)) * time.Millisecond
		case "restart":
			s.lasts = time.Duration(random.IntN(2000)) * time.Millisecond
		default:
			s.lasts = time.Duration(1000+random.IntN(14000)) * time.Millisecond
		}
		if at += s.after + s.lasts; at > within {
			return steps
		}
		steps = append(steps, s)
	}
}

// inflict does what a schedule says, until ctx is done.
func (r *run) inflict(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if !sleep(ctx, s.after) {
			return nil
		}
		began := r.ledger.now()
		r.say("%s n%d for %s", s.kind, s.node, s.lasts)
		err := r.carryOut(ctx, s)
		r.ledger.addFault(fault{s.kind, s.node, began, r.ledger.now()})
		if err != nil {
			return fmt.Errorf("%s n%d: %w", s.kind, s.node, err)
		}
	}
	return nil
}

func (r *run) carryOut(ctx context.Context, s step) error {
	c := r.cluster
	switch s.kind {
	case "kill":
		return r.killed(ctx, s.lasts, s.node)
	case "kill all":
		return r.killed(ctx, s.lasts, 0, 1, 2)
	case "restart":
		if err := c.signal(s.node, syscall.SIGTERM); err != nil {
			return err
		}
		if err := c.wait(s.node, 30*time.Second); err != nil {
			return fmt.Errorf("it did not stop well: %w", err)
		}
		sleep(ctx, s.lasts)
		return c.start(s.node)
	case "pause":
		if err := c.signal(s.node, syscall.SIGSTOP); err != nil {
			return err
		}
		sleep(ctx, s.lasts)
		return c.signal(s.node, syscall.SIGCONT)
	case "silence":
		c.routes.isolate(s.node, true, true, false)
	case "disconnect":
		c.routes.isolate(s.node, true, true, true)
	case "muteness":
		c.routes.isolate(s.node, true, false, false)
	case "deafness":
		c.routes.isolate(s.node, false, true, false)
	case "split":
		c.routes.split(s.node, (s.node+1)%nodeCount)
	}
	sleep(ctx, s.lasts)
	c.routes.heal()
	return nil
}

func (r *run) killed(ctx context.Context, lasts time.Duration, nodes ...int) error {
	for _, i := range nodes {
		if !r.cluster.running(i) {
			return fmt.Errorf("n%d had ended by itself", i)
		}
		if err := r.cluster.signal(i, syscall.SIGKILL); err != nil {
			return err
		}
	}
	for _, i := range nodes {
		_ = r.cluster.wait(i, 10*time.Second) // the signal is its error
	}
	sleep(ctx, lasts)
	for _, i := range nodes {
		if err := r.cluster.start(i); err != nil {
			return err
		}
	}
	return nil
}

// sleep waits, and reports whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
