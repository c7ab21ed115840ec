package relay

import (
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestOutgoingWritesEverythingInOrder(t *testing.T) {
	t.Parallel()
	o := outgoing{wake: make(chan struct{}, 1)}
	var done sync.WaitGroup
	next := 0
	done.Go(func() {
		o.run(func(m *nats.Msg) error {
			if m == nil || m.Subject != strconv.Itoa(next) {
				t.Errorf("%v in place of %d", m, next)
			}
			next++
			return nil
		}, func(err error) { t.Error(err) })
	})
	const count = 100_000
	for i := range count {
		for o.push(&nats.Msg{Subject: strconv.Itoa(i)}) != nil {
			continue // the writer is behind
		}
	}
	o.close()
	done.Wait()
	require.Equal(t, count, next)
}

func TestOutgoingIsBounded(t *testing.T) {
	t.Parallel()
	o := outgoing{wake: make(chan struct{}, 1)}
	big := &nats.Msg{Data: make([]byte, 1<<20)}
	n := 0
	for o.push(big) == nil {
		n++
	}
	require.Equal(t, mostOutgoingBytes>>20, n)
	require.ErrorIs(t, o.push(big), errSlowLink)
	o.take(nil)
	require.NoError(t, o.push(big))
}
