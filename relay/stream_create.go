package relay

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// What the server answers where it could not make the files of a stream.
const (
	errorStreamCreate jetstream.ErrorCode = 10049
	errorStreamStore  jetstream.ErrorCode = 10077
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
