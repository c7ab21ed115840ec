package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
)

// quiet is the attack that only keeps the processors busy.
const quiet = "quiet"

// attack is one thing that a peer can do. Run does it until ctx ends, in as many
// goroutines as workers says, each from its beginning again when it returns.
type attack struct {
	name    string
	workers int
	run     func(ctx context.Context, t *target, worker int) error
}

// attacks are all, in the order in which they are carried out: of anonymous peers first,
// then of one user.
var attacks = []attack{
	{quiet, 0, nil},
	{"connections", 8, silentConnections},
	{"endless-headers", 300, endlessHeaders},
	{"frames-before-connect", 60, framesBeforeConnect},
	{"unfinished-posts", 200, unfinishedPosts},
	{"sockjs-bodies", 40, sockJSBodies},
	{"passcodes", 40, passcodes},
	{"false-tokens", 8, falseTokens},
	{"refused-origins", 8, refusedOrigins},
	{"endless-batch", 4, endlessBatch},
	{"refused-bodies", 8, refusedBodies},
	{"sockjs-arrays", 4, sockJSArrays},
	{"lists", 8, lists},
	{"deflate", 4, deflate},
	{"patterns", 4, patterns},
	{"subscriptions", 8, subscriptions},
	{"presence", 8, presence},
	{"requests", 4, waitingRequests},
	{"transient-queues", 4, transientQueues},
	{"replays", 5, replays},
	{"unacknowledged", 4, unacknowledged},
	{"dedup-ids", 8, dedupIDs},
	{"transactions", 8, transactions},
	{"receipts", 8, unreadReceipts},
	{"slow-readers", 20, slowReaders},
	{"backlogs", 64, backlogs},
	{"control-headers", 4, controlHeaders},
	{"long-names", 4, longNames},
	{"event-streams", 20, eventStreams},
}

// carryOut carries out an attack until ctx ends.
func carryOut(ctx context.Context, name string, t *target) error {
	for _, a := range attacks {
		if a.name == name {
			if a.run == nil {
				burn(ctx)
				return nil
			}
			a.repeat(ctx, t)
			return nil
		}
	}
	var names []string
	for _, a := range attacks {
		names = append(names, a.name)
	}
	return fmt.Errorf("there is no attack %q; there are %s", name, strings.Join(names, ", "))
}

func (a *attack) repeat(ctx context.Context, t *target) {
	var workers sync.WaitGroup
	for w := range a.workers {
		workers.Go(func() {
			for ctx.Err() == nil {
				_ = a.run(ctx, t, w) // that it is refused is what is to be
				sleep(ctx, 20*time.Millisecond)
			}
		})
	}
	workers.Wait()
}

// burn keeps all processors busy.
func burn(ctx context.Context) {
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for ctx.Err() == nil {
				for i := 0; i < 1_000_000; i++ { //nolint:revive // nothing is what it does
				}
			}
		})
	}
	workers.Wait()
}
