package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/problem"
)

const (
	// maxKey is the longest Idempotency-Key in bytes.
	maxKey = 255
	// maxSending is how long a request that died may still be at it at most, before another
	// one with its key takes its place.
	maxSending = 30 * time.Second
	// settleTimeout is how long the broker tries to note what became of a request.
	settleTimeout = 5 * time.Second
)

// idempotencyRecord is what all nodes know of a request with an Idempotency-Key.
type idempotencyRecord struct {
	Fingerprint string          `json:"print"`            // of what was to be sent
	Until       int64           `json:"until,omitempty"`  // Unix time up to which it may still be at it
	Answer      json.RawMessage `json:"answer,omitempty"` // where it was sent
}

// replayed is an answer that was given before.
type replayed struct{ json.RawMessage }

// idempotentSend sends once what a client may send again.
type idempotentSend struct {
	*api
	sendingFor time.Duration
}

// sendingFor is how long a request that died may still be at it. The other one that takes its
// place has to come while the store knows the dedup ids of what the first one stored.
func sendingFor(dedupWindow time.Duration) time.Duration {
	return min(maxSending, dedupWindow/2)
}

// sendIdempotent sends what a key was not used for before, and else answers as at first.
// Where it is not known whether a request with the key was sent, it is sent again:
// under the same dedup ids, by which what is stored is stored once.
func (a idempotentSend) sendIdempotent(ctx context.Context, r request, keys []string, fingerprint string, all []broker.Publication) (any, error) {
	if a.records == nil {
		return nil, problem.New(http.StatusNotImplemented, "this server keeps no records of idempotency keys")
	}
	if len(keys) > 1 || len(keys[0]) == 0 || len(keys[0]) > maxKey {
		return nil, problem.New(http.StatusBadRequest, fmt.Sprintf("the Idempotency-Key has to be one of 1 to %d bytes", maxKey))
	}
	id := digest([]byte(r.principal.Name + "\x00" + keys[0]))
	key := digest([]byte(r.principal.Name))[:32] + "." + id
	record := idempotencyRecord{Fingerprint: fingerprint, Until: time.Now().Add(a.sendingFor).Unix()}
	revision, earlier, err := a.claim(ctx, key, record)
	if err != nil || earlier != nil {
		return earlier, err
	}
	for i := range all {
		if _, ok := all[i].Headers.Lookup(broker.HeaderDedupID); !ok {
			all[i].Headers = append(all[i].Headers, frames.Header{Name: broker.HeaderDedupID, Value: id[:32] + "-" + strconv.Itoa(i)})
		}
	}
	answer, failure := a.sendNow(ctx, r, all)
	a.settle(ctx, key, revision, record.Fingerprint, answer, failure)
	return answer, failure
}

// claim takes a key for this request, or returns what became of an earlier one.
func (a idempotentSend) claim(ctx context.Context, key string, record idempotencyRecord) (revision uint64, earlier any, err error) {
	mine, err := json.Marshal(record)
	if err != nil {
		return 0, nil, err
	}
	text, last, err := a.records.Record(ctx, key)
	if err != nil {
		return 0, nil, err
	}
	if last > 0 {
		var old idempotencyRecord
		if err := json.Unmarshal(text, &old); err != nil {
			return 0, nil, err
		}
		switch {
		case old.Fingerprint != record.Fingerprint:
			return 0, nil, problem.Coded(problem.CodeKeyReused, "the Idempotency-Key was used for another request; use a new one for each")
		case old.Answer != nil:
			return 0, replayed{old.Answer}, nil
		case time.Now().Unix() < old.Until:
			return 0, nil, inProgress(time.Until(time.Unix(old.Until, 0)))
		}
	}
	revision, err = a.records.PutRecord(ctx, key, mine, last)
	if errors.Is(err, driver.ErrRecordChanged) {
		err = inProgress(time.Second)
	}
	return revision, nil, err
}

// inProgress says that another request has the key, and when it has it no more at the latest.
func inProgress(left time.Duration) error {
	d := problem.New(http.StatusConflict, "a request with the Idempotency-Key is being sent; try again a little later")
	d.RetryAfter = max(left, time.Second)
	return d
}

// settle notes what became of a request, so that others with its key hear the same. A
// request of which nothing was sent, or of which that is not known, may be tried again.
func (a idempotentSend) settle(ctx context.Context, key string, revision uint64, fingerprint string, answer any, failure error) {
	record := idempotencyRecord{Fingerprint: fingerprint}
	if failure == nil {
		text, err := json.Marshal(answer)
		if err != nil {
			return
		}
		record.Answer = text
	}
	text, err := json.Marshal(record)
	if err != nil {
		return
	}
	// The client may be gone; what was sent stays sent.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if _, err := a.records.PutRecord(ctx, key, text, revision); err != nil {
		a.log.Warn("what became of a request with an Idempotency-Key could not be noted; one that repeats it may be sent again", "error", err)
	}
}

func digest(of []byte) string {
	sum := sha256.Sum256(of)
	return hex.EncodeToString(sum[:])
}
