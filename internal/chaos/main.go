package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/stompbox", "the program under test")
	flag.DurationVar(&o.duration, "duration", 10*time.Minute, "how long faults are inflicted")
	flag.Uint64Var(&o.seed, "seed", 0, "repeats the schedule of a run; 0 draws one")
	flag.StringVar(&o.dir, "dir", "", "where nodes keep their data and logs; empty: a folder that is removed after a run in which nothing was found")
	flag.BoolVar(&o.soak, "soak", false, "have clients come and go in place of faults, and see whether what the nodes use is flat")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := chaos(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	binary, dir string
	duration    time.Duration
	seed        uint64
	soak        bool
}

// chaos is one run.
func chaos(ctx context.Context, o *options) error {
	if o.seed == 0 {
		o.seed = rand.Uint64()%1_000_000 + 1
	}
	remove := o.dir == ""
	var err error
	if remove {
		if o.dir, err = os.MkdirTemp("", "stompbox-chaos-"); err != nil {
			return err
		}
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	r := &run{ledger: newLedger(), seed: o.seed, out: os.Stdout}
	fmt.Printf("seed %d, for %s, in %s\n", o.seed, o.duration, o.dir)
	if err := r.signTokens(); err != nil {
		return err
	}
	if r.cluster, err = startCluster(o.binary, o.dir, o.soak); err != nil {
		return err
	}
	defer r.cluster.kill()
	if o.soak {
		if err := r.soak(ctx, o.duration); err != nil {
			return fmt.Errorf("%w; the data is in %s", err, o.dir)
		}
		r.say("all is flat")
		return tidy(o, remove)
	}
	if err := r.load(ctx, o.duration); err != nil {
		return fmt.Errorf("%w; the data is in %s", err, o.dir)
	}
	if found := r.report(); found > 0 {
		return fmt.Errorf("%d promises were broken; `-seed %d` repeats the schedule; logs and data are in %s", found, o.seed, o.dir)
	}
	return tidy(o, remove)
}

// tidy removes what a run that found nothing has left.
func tidy(o *options, remove bool) error {
	if !remove {
		return nil
	}
	return os.RemoveAll(o.dir)
}

const (
	startTime  = time.Minute     // for the nodes to be ready
	settleWait = 3 * time.Minute // for senders to get everything through, at the end
	stillWait  = time.Minute     // in which a reader has to get some of what it is owed
	quietTime  = 5 * time.Second // in which what comes twice has to come
)

// load runs clients and faults, and returns when all is quiet.
func (r *run) load(ctx context.Context, duration time.Duration) error {
	if err := r.awaitReady(ctx, startTime); err != nil {
		return err
	}
	loading, endLoad := context.WithCancel(ctx)
	defer endLoad()
	settling, endSettling := context.WithCancel(ctx)
	defer endSettling()
	reading, endReading := context.WithCancel(ctx)
	defer endReading()
	r.loading, r.settling, r.reading = loading, settling, reading
	r.startReaders()
	r.awaitSubscribed(ctx)
	var first sync.WaitGroup
	r.startSenders(&first)
	first.Wait()
	r.awaitPlaces(ctx)
	r.say("all clients are at work")
	err := r.inflict(ctx, schedule(r.seed, duration))
	r.cluster.routes.heal()
	err = errors.Join(err, r.awaitReady(ctx, startTime))
	r.say("the nodes are left alone")
	endLoad()
	stop := time.AfterFunc(settleWait, endSettling)
	r.senders.Wait()
	stop.Stop()
	r.settle(ctx)
	endReading()
	r.readers.Wait()
	sleep(ctx, quietTime) // what they acknowledged last is on its way
	if err == nil && ctx.Err() == nil {
		err = r.lookIntoQueues(ctx)
	}
	return errors.Join(err, ctx.Err(), r.cluster.stop())
}

func (r *run) awaitReady(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return r.cluster.ready(ctx)
}

// awaitSubscribed waits until all readers are subscribed.
func (r *run) awaitSubscribed(ctx context.Context) {
	for waiting := true; waiting && sleep(ctx, 50*time.Millisecond); {
		waiting = false
		r.ledger.edit(func() {
			for _, reader := range r.ledger.readers {
				waiting = waiting || reader.since == 0 && reader.kind != consumer
			}
		})
	}
}

// awaitPlaces waits until all followers have read something: without an id they could not
// ask for what they miss.
func (r *run) awaitPlaces(ctx context.Context) {
	for waiting := true; waiting && sleep(ctx, 50*time.Millisecond); {
		waiting = false
		r.ledger.edit(func() {
			for _, reader := range r.ledger.readers {
				waiting = waiting || reader.kind == follower && len(reader.deliveries) == 0
			}
		})
	}
}

// settle waits until everything that was confirmed has arrived, or nothing comes any more.
func (r *run) settle(ctx context.Context) {
	missing, first := r.ledger.missing()
	since := time.Now()
	for missing > 0 && time.Since(since) < stillWait && sleep(ctx, time.Second) {
		var now int
		if now, first = r.ledger.missing(); now != missing {
			missing, since = now, time.Now()
		}
	}
	if missing > 0 {
		r.say("%d deliveries do not come, such as to %s", missing, strings.Join(first, "; "))
	}
	sleep(ctx, quietTime)
	r.ledger.edit(func() { r.ledger.settled = true })
}

// report prints what was done and what is wrong, and returns how many promises were
// broken.
func (r *run) report() int {
	found := append(r.ledger.check(), r.readLogs()...)
	fmt.Print(r.ledger.summary())
	count := make(map[string]int)
	for _, v := range found {
		if count[v.promise]++; count[v.promise] <= maxStories {
			fmt.Printf("\nBROKEN: %s\n%s\n", v.promise, v.story)
		}
	}
	for promise, n := range count {
		fmt.Printf("%d times: %s\n", n, promise)
	}
	if len(found) == 0 {
		fmt.Println("nothing is wrong")
	}
	return len(found)
}

// maxStories is how many of one kind are printed.
const maxStories = 5

// readLogs looks for what no node may say.
func (r *run) readLogs() (found []violation) {
	for i := range nodeCount {
		text, err := os.ReadFile(r.cluster.log(i))
		if err != nil {
			found = append(found, violation{"a log cannot be read", err.Error()})
			continue
		}
		for _, sign := range []string{"panic: ", "fatal error: ", "DATA RACE"} {
			if at := strings.Index(string(text), sign); at >= 0 {
				found = append(found, violation{"a node failed", fmt.Sprintf("n%d: %s", i, text[at:min(at+4000, len(text))])})
			}
		}
	}
	return found
}
