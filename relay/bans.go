package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxBanBytes bounds what is kept of bans.
	maxBanBytes = 64 << 20
	// bansEvery is how often the store of bans is looked for while there is none, or it
	// is out of reach.
	bansEvery = 5 * time.Second
	// bansPatience is how long the start of a node waits for what the store has.
	bansPatience = 3 * time.Second
)

// bans is a [driver.BanStore] on a key-value bucket of JetStream, which is made with the
// first ban.
type bans struct {
	link     *link
	replicas int
}

// keptBan is what the bucket has. The time is for who removes it once it is over.
type keptBan struct {
	Until time.Time       `json:"until"`
	Ban   json.RawMessage `json:"ban"`
}

func (b *bans) bucket() string { return bansBucket(b.link.prefix) }

func bansBucket(prefix string) string { return streamBase(prefix) + "_bans" }

// PutBan keeps a ban. See [driver.BanStore].
func (b *bans) PutBan(ctx context.Context, key string, ban []byte, until time.Time) error {
	if err := b.link.checkWrite(); err != nil {
		return err
	}
	value, err := json.Marshal(keptBan{until, ban})
	if err != nil {
		return err
	}
	kv, err := b.link.js.KeyValue(ctx, b.bucket())
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket := jetstream.KeyValueConfig{
			Bucket: b.bucket(), Description: "stompbox: who is banned", History: 1, Replicas: b.replicas,
		}
		kv, err = createReserving(ctx, maxBanBytes, func(bytes int64) (jetstream.KeyValue, error) {
			bucket.MaxBytes = bytes
			return b.link.js.CreateOrUpdateKeyValue(ctx, bucket)
		})
	}
	if err != nil {
		return storeError("cannot open the bucket of bans", err)
	}
	sum := sha256.Sum256([]byte(key)) // a name of a user may have any bytes
	if _, err := kv.Put(ctx, hex.EncodeToString(sum[:]), value); err != nil {
		return storeError("cannot keep a ban", err)
	}
	return nil
}

// WatchBans follows the bucket. See [driver.BanStore].
func (b *bans) WatchBans(watch func(ban []byte)) error {
	loaded, patience := make(chan struct{}), bansPatience
	if b.link.checkAsk() != nil {
		patience = 0 // such as the first node of a cluster, which no majority is there for
	}
	b.link.background.Go(func() {
		first := loaded
		for b.link.ctx.Err() == nil {
			b.follow(watch, func() {
				if first != nil {
					close(first)
					first = nil
				}
			})
			select {
			case <-b.link.ctx.Done():
			case <-time.After(bansEvery):
			}
		}
	})
	select {
	case <-loaded:
	case <-b.link.ctx.Done():
	case <-time.After(patience):
		b.link.log.Warn("what is kept of bans could not be read yet; it counts as soon as JetStream is there")
	}
	return nil
}

// follow reads the bucket until that fails. It calls ready when all that was kept was read,
// or there is no bucket.
func (b *bans) follow(watch func(ban []byte), ready func()) {
	kv, err := b.link.js.KeyValue(b.link.ctx, b.bucket())
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		ready()
		return
	}
	if err != nil {
		return
	}
	watcher, err := kv.WatchAll(b.link.ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return
	}
	defer func() { _ = watcher.Stop() }()
	for {
		select {
		case entry, ok := <-watcher.Updates():
			if !ok {
				return
			}
			if entry == nil {
				ready()
				continue
			}
			b.learn(kv, entry, watch)
		case <-b.link.ctx.Done():
			return
		}
	}
}

func (b *bans) learn(kv jetstream.KeyValue, entry jetstream.KeyValueEntry, watch func(ban []byte)) {
	var kept keptBan
	if json.Unmarshal(entry.Value(), &kept) != nil {
		return
	}
	if time.Now().After(kept.Until) {
		_ = kv.Purge(b.link.ctx, entry.Key(), jetstream.LastRevision(entry.Revision())) // or another node has
		return
	}
	watch(kept.Ban)
}
