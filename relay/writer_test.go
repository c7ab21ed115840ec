package relay

import (
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestTheWriterWritesEverythingInOrder(t *testing.T) {
	t.Parallel()
	w := newWriter()
	var done sync.WaitGroup
	next := 0
	done.Go(func() {
		w.run(func(m *nats.Msg) error {
			if m == nil || m.Subject != strconv.Itoa(next) {
				t.Errorf("%v in place of %d", m, next)
			}
			next++
			return nil
		}, func(err error) { t.Error(err) })
	})
	const count = 100_000
	for i := range count {
		for w.push(&nats.Msg{Subject: strconv.Itoa(i)}) != nil {
			continue // the writer is behind
		}
	}
	w.close()
	done.Wait()
	require.Equal(t, count, next)
}

func TestTheWriterIsBounded(t *testing.T) {
	t.Parallel()
	w := newWriter()
	big := &nats.Msg{Data: make([]byte, 1<<20)}
	n := 0
	for w.push(big) == nil {
		n++
	}
	require.Equal(t, maxWaitingBytes>>20, n)
	require.ErrorIs(t, w.push(big), errSlowLink)
	w.take(nil)
	require.NoError(t, w.push(big))
}
