package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxBanBytes bounds what is kept of bans.
	maxBanBytes = 64 << 20
	// banReplicas is on how many servers of a cluster bans are.
	banReplicas = 3
)

// bans is a [driver.BanStore] on a key-value bucket of JetStream, which is made with the
// first ban.
type bans struct {
	link     *link
	replicas int
	copies   *copies
	missed   chan struct{}                    // has one element if the bucket is to be read again
	watch    atomic.Pointer[func(ban []byte)] // that of WatchBans, once it was called
}

func newBans(l *link, replicas int) *bans {
	return &bans{link: l, replicas: replicas, missed: make(chan struct{}, 1)}
}

// create makes the bucket. In a cluster it is on three servers if there are so many, even where
// queues.replicas is less: without it no node that starts knows who is banned.
func (b *bans) create(ctx context.Context, bucket jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	if b.link.replicated() && bucket.Replicas < banReplicas {
		safe := bucket
		safe.Replicas = banReplicas
		kv, err := b.link.js.CreateOrUpdateKeyValue(ctx, safe)
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != errorNoPeers {
			return kv, err
		}
	}
	return b.link.js.CreateOrUpdateKeyValue(ctx, bucket)
}

// keptBan is what the bucket has. The time is for who removes it once it is over.
type keptBan struct {
	Until time.Time       `json:"until"`
	Ban   json.RawMessage `json:"ban"`
}

func (b *bans) bucket() string { return bansBucket(b.link.prefix) }

func bansBucket(prefix string) string { return streamBase(prefix) + "_bans" }

// bansStream is the stream of the bucket.
func bansStream(prefix string) string { return "KV_" + bansBucket(prefix) }

// PutBan keeps a ban. See [driver.BanStore].
func (b *bans) PutBan(ctx context.Context, key string, ban []byte, until time.Time) error {
	if err := b.link.checkWrite(); err != nil {
		return err
	}
	value, err := json.Marshal(keptBan{until, ban})
	if err != nil {
		return err
	}
	kv, err := b.open(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(key)) // a name of a user may have any bytes
	if _, err := kv.Put(ctx, hex.EncodeToString(sum[:]), value); err != nil {
		return storeError("cannot keep a ban", err)
	}
	return nil
}

// open returns the bucket, which it makes where there is none.
func (b *bans) open(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := b.link.js.KeyValue(ctx, b.bucket())
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket := jetstream.KeyValueConfig{
			Bucket: b.bucket(), Description: "stompbox: who is banned", History: 1, Replicas: b.replicas,
		}
		kv, err = createReserving(ctx, maxBanBytes, func(bytes int64) (jetstream.KeyValue, error) {
			bucket.MaxBytes = bytes
			return b.create(ctx, bucket)
		})
	}
	if err != nil {
		return nil, storeError("cannot open the bucket of bans", err)
	}
	return kv, nil
}
