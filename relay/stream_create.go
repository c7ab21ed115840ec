package relay

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// What the server answers where it could not make a stream.
const (
	errorStreamCreate jetstream.ErrorCode = 10049
	errorStreamStore  jetstream.ErrorCode = 10077
	errorNoPeers      jetstream.ErrorCode = 10005 // fewer servers than replicas
)

// createRetrying makes a stream. While the server removes the folder of the only stream that
// there was, it cannot make another one in it; so it is tried again.
func createRetrying[T any](ctx context.Context, create func() (T, error)) (made T, err error) {
	for try := range makeTries {
		made, err = create()
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != errorStreamCreate && api.ErrorCode != errorStreamStore {
			return made, err
		}
		pause(ctx, makePause<<try)
	}
	return made, err
}

// leastReserved is the least that a stream of the broker's own reserves. Where less is left, it
// reserves nothing.
const leastReserved = 1 << 20

// createReserving makes a stream of the broker's own, which reserves so much of the store at
// most. JetStream refuses it where less is left, though nothing else may need that.
func createReserving[T any](ctx context.Context, most int64, create func(bytes int64) (T, error)) (made T, err error) {
	for bytes := most; ; bytes /= 4 {
		if bytes < leastReserved {
			bytes = -1
		}
		made, err = createRetrying(ctx, func() (T, error) { return create(bytes) })
		var api *jetstream.APIError
		if bytes < 0 || !errors.As(err, &api) || api.ErrorCode != errCodeStorage && api.ErrorCode != errCodeResources {
			return made, err
		}
	}
}
