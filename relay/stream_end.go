package relay

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
)

// errLags is the error where a server answers that does not have all of a stream.
func errLags(stream string) error {
	return fmt.Errorf("%w: a server does not have yet what is in %s", driver.ErrUnavailable, stream)
}

// checkNothing returns an error where it is not sure that a stream has nothing on a subject from
// one sequence to another, which it has reached. That no message was found does not say that:
// who answered may lag, or lead no more. So one answer has to say both what a server has on the
// subject and how far it has the stream.
func checkNothing(ctx context.Context, l *link, stream, subject string, from, upTo uint64) error {
	if !l.replicated() {
		return nil
	}
	lags := errLags(stream)
	found, reached, err := askNewest(ctx, l, stream, subject, from)
	switch {
	case err != nil:
		return err
	case found || reached > 0 && reached < upTo:
		return lags
	case reached > 0:
		return nil
	}
	info, err := askLeader(ctx, l, stream, subject)
	switch {
	case err != nil:
		return err
	case info.State.LastSeq < upTo:
		return lags
	}
	return nil
}

// askNewest asks any server that has a stream whether the newest messages of a subject's
// destinations are from a sequence on, and how far it has the stream. The latter is 0 where
// it does not say: it has none on the subject, or of too many destinations.
func askNewest(ctx context.Context, l *link, stream, subject string, from uint64) (found bool, reached uint64, err error) {
	request := struct {
		Subjects []string `json:"multi_last"`
		Seq      uint64   `json:"seq"`
		MaxBytes int      `json:"max_bytes"`
	}{[]string{subject}, from, 1}
	err = askDirect(ctx, l, stream, request, func(msg *nats.Msg) (done bool, err error) {
		if lastOf(msg.Header, headerStream) == stream {
			found = true
			return false, nil
		}
		reached, _ = strconv.ParseUint(lastOf(msg.Header, "Nats-UpTo-Sequence"), 10, 64)
		return true, nil
	})
	return found, reached, err
}
