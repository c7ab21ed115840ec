package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// archivedBan is a line of a backup. A backup has bans and not a snapshot of their stream, so
// that they can be added to those of the broker that restores it.
type archivedBan struct {
	Key  string          `json:"key"`
	Kept json.RawMessage `json:"kept"`
}

// kvOperation is in the header of an entry that is removed.
const kvOperation = "KV-Operation"

// maxArchivedBan bounds a line: a name and a reason have a few KiB.
const maxArchivedBan = 1 << 20

// archived lists the bucket for a backup. It has no configuration, since a restore
// makes a bucket as a first ban does.
func (b *bans) archived(info *jetstream.StreamInfo) driver.ArchiveEntry {
	return driver.ArchiveEntry{
		Name: info.Config.Name, Kind: kindBans, Messages: info.State.Msgs, Bytes: info.State.Bytes,
		Config: json.RawMessage("{}"), State: json.RawMessage("{}"),
	}
}

// export writes what the leader of the bucket has.
func (b *bans) export(ctx context.Context, w io.Writer) error {
	lines := json.NewEncoder(w)
	subjects := "$KV." + b.bucket() + "."
	for next := (pageRequest{Seq: 1, Subject: subjects + ">"}); ; {
		m, err := readFromLeader(ctx, b.link, bansStream(b.link.prefix), next)
		if err != nil || m == nil {
			return err
		}
		next.Seq = m.seq + 1
		if m.msg.Header.Get(kvOperation) != "" { // it was removed
			continue
		}
		if err := lines.Encode(archivedBan{strings.TrimPrefix(m.msg.Subject, subjects), m.msg.Data}); err != nil {
			return err
		}
	}
}

// restore adds bans, which this node knows when it returns. One that is there already stays: it, or
// its end, is newer.
func (b *bans) restore(ctx context.Context, r io.Reader) error {
	if err := b.link.checkWrite(); err != nil {
		return err
	}
	kv, err := b.open(ctx)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxArchivedBan)
	for lines.Scan() {
		var ban archivedBan
		var kept keptBan
		if json.Unmarshal(lines.Bytes(), &ban) != nil || json.Unmarshal(ban.Kept, &kept) != nil || len(kept.Ban) == 0 {
			return fmt.Errorf("%w: a line of bans cannot be read", driver.ErrArchive)
		}
		_, err = kv.Create(ctx, ban.Key, ban.Kept)
		if errors.Is(err, jetstream.ErrInvalidKey) {
			return fmt.Errorf("%w: a ban has no valid key", driver.ErrArchive)
		}
		if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
			return storeError("cannot keep a ban", err)
		}
		if watch := b.watch.Load(); watch != nil && err == nil {
			(*watch)(kept.Ban)
		}
	}
	return lines.Err()
}
