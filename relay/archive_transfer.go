package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// chunkBytes is how much of a snapshot is in one message.
	chunkBytes = 128 << 10
	// chunkTimeout is how long a chunk may take.
	chunkTimeout = 30 * time.Second
	// restoreTimeout is how long the store may take to check all of it.
	restoreTimeout = 10 * time.Minute
)

// ask sends a request of JetStream's API, and reads its answer.
func (a *archive) ask(ctx context.Context, subject string, within time.Duration, question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	msg, err := a.link.conn.RequestWithContext(ctx, subject, body)
	if err != nil {
		return unreachable(err)
	}
	return readAnswer(msg.Data, answer)
}

func readAnswer(data []byte, answer any) error {
	var failed struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(data, &failed); err != nil {
		return fmt.Errorf("relay: an answer of the server cannot be read: %w", err)
	}
	if failed.Error != nil {
		return failed.Error
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(data, answer)
}

// Export writes the snapshot of a stream. It has no consumers: those of queues would hide
// what they took for acknowledged, and durable subscriptions are listed for themselves.
func (a *archive) Export(ctx context.Context, name string, w io.Writer) error {
	if err := a.link.checkAsk(); err != nil {
		return err
	}
	if name == bansStream(a.link.prefix) {
		return a.bans.export(ctx, w)
	}
	inbox := nats.NewInbox()
	chunks, err := a.link.conn.SubscribeSync(inbox)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = chunks.Unsubscribe() }()
	if err := chunks.SetPendingLimits(-1, -1); err != nil { // the server's window bounds it
		return err
	}
	request := map[string]any{"deliver_subject": inbox, "no_consumers": true, "chunk_size": chunkBytes}
	if err := a.ask(ctx, "$JS.API.STREAM.SNAPSHOT."+name, chunkTimeout, request, nil); err != nil {
		return err
	}
	for {
		chunk, err := nextChunk(ctx, chunks)
		if err != nil {
			return err
		}
		if len(chunk.Data) == 0 {
			if status := statusOf(chunk); status != "" && status != "204" {
				return fmt.Errorf("relay: the snapshot of %s broke off: %s %s", name, status, lastOf(chunk.Header, "Description"))
			}
			return nil
		}
		if _, err := w.Write(chunk.Data); err != nil {
			return err
		}
		if chunk.Reply != "" {
			if err := chunk.Respond(nil); err != nil {
				return unreachable(err)
			}
		}
	}
}

func nextChunk(ctx context.Context, chunks *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	chunk, err := chunks.NextMsgWithContext(ctx)
	if err != nil {
		return nil, unreachable(err)
	}
	return chunk, nil
}

// Import puts a snapshot in, and returns when a majority of its servers has all of it.
func (a *archive) Import(ctx context.Context, entry driver.ArchiveEntry, r io.Reader) error {
	if err := a.put(ctx, entry, r); err != nil {
		return err
	}
	var state struct {
		Last uint64 `json:"last_seq"`
	}
	_ = json.Unmarshal(entry.State, &state) // the server has read it
	err := a.copies.await(ctx, entry.Name, state.Last)
	if errors.Is(err, driver.ErrNotReplicated) {
		a.copies.follow(entry.Name, state.Last)
	}
	return err
}

// put has the leader of a stream take a snapshot. A history begins an epoch, since its clients may know later
// messages of the one before, and the numbers of those are given again.
func (a *archive) put(ctx context.Context, entry driver.ArchiveEntry, r io.Reader) error {
	config, err := a.configOf(entry)
	if err != nil {
		return err
	}
	if entry.Kind == kindBans {
		defer a.announce() // other nodes may know no bucket yet, and look for one now and then
		return a.bans.restore(ctx, r)
	}
	if err := a.link.checkWrite(); err != nil {
		return err
	}
	config.Metadata = keepRestored(config.Metadata, map[string]string{metadataRestored: time.Now().UTC().Format(time.RFC3339Nano)})
	if h, _ := a.histories.epochOf(entry.Name); h != nil {
		a.hold(ctx, h)
		defer h.restoring.Store(false)
		config.Metadata[metadataEpoch] = newEpoch(h.epochIn(entry.Name)) // in place of what is known of the stream before
	}
	defer a.announce()
	if err := a.makeRoom(ctx, entry, config); err != nil {
		return err
	}
	var began struct {
		Subject string `json:"deliver_subject"`
	}
	request := map[string]any{"config": config, "state": entry.State}
	if err := a.ask(ctx, "$JS.API.STREAM.RESTORE."+entry.Name, chunkTimeout, request, &began); err != nil {
		return err
	}
	if err := a.sendChunks(ctx, began.Subject, r); err != nil {
		return err
	}
	if err := a.restoreDurables(ctx, entry); err != nil {
		return err
	}
	return a.journalIDs(ctx, entry)
}

// makeRoom removes the empty streams that are in the way.
func (a *archive) makeRoom(ctx context.Context, entry driver.ArchiveEntry, config *jetstream.StreamConfig) error {
	names, err := a.inTheWay(ctx, entry, config)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := a.link.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return storeError("cannot remove the empty stream "+name, err)
		}
	}
	return nil
}

func (a *archive) sendChunks(ctx context.Context, subject string, r io.Reader) error {
	chunk := make([]byte, chunkBytes)
	for {
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			if err := a.sendChunk(ctx, subject, chunk[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
			defer cancel()
			answer, err := a.link.conn.RequestWithContext(ctx, subject, nil)
			if err != nil {
				return unreachable(err)
			}
			return readAnswer(answer.Data, nil)
		case err != nil: // the server gives up on what does not go on
			return err
		}
	}
}

func (a *archive) sendChunk(ctx context.Context, subject string, chunk []byte) error {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	answer, err := a.link.conn.RequestWithContext(ctx, subject, chunk)
	if err != nil {
		return unreachable(err)
	}
	if len(answer.Data) > 0 {
		return readAnswer(answer.Data, nil)
	}
	return nil
}

// restoreDurables makes durable subscriptions again, each with what it has not had.
func (a *archive) restoreDurables(ctx context.Context, entry driver.ArchiveEntry) error {
	for _, d := range entry.Durables {
		var c jetstream.ConsumerConfig
		if err := json.Unmarshal(d.Config, &c); err != nil {
			return fmt.Errorf("%w: the durable subscription %s: %w", driver.ErrArchive, d.Name, err)
		}
		c.DeliverPolicy, c.OptStartSeq, c.OptStartTime = jetstream.DeliverByStartSequencePolicy, max(d.Next, 1), nil
		c.Replicas, c.Metadata = 0, nil
		if _, err := a.link.js.CreateConsumer(ctx, entry.Name, c); err != nil {
			return storeError("cannot make the durable subscription "+d.Name, err)
		}
	}
	return nil
}

// idsInFlight is how many dedup ids are written at a time.
const idsInFlight = 1000

// journalIDs writes the dedup ids of messages that were restored to the journal, as if they
// had been removed: JetStream takes no notice of them before its next start.
func (a *archive) journalIDs(ctx context.Context, entry driver.ArchiveEntry) error {
	if entry.Kind != kindQueues && entry.Kind != kindHistory {
		return nil
	}
	stream, err := a.link.js.Stream(ctx, entry.Name)
	if err != nil {
		return storeError("cannot look at "+entry.Name, err)
	}
	info := stream.CachedInfo()
	since := time.Now().Add(-a.dedup.window)
	if info.State.LastTime.Before(since) {
		return nil
	}
	if err := a.dedup.ensure(ctx); err != nil {
		return err
	}
	written := make(chan error, idsInFlight)
	inFlight := 0
	finish := func(left int) error {
		for ; inFlight > left; inFlight-- {
			if err := <-written; err != nil {
				return err
			}
		}
		return nil
	}
	err = a.eachSince(ctx, info, since, func(id string, stored time.Time) error {
		inFlight++
		a.dedup.write(entry.Name, id, stored, func(err error) { written <- err })
		return finish(idsInFlight - 1)
	})
	if err != nil {
		return err
	}
	return finish(0)
}

// eachSince visits the dedup ids of a stream's messages from a time on.
func (a *archive) eachSince(ctx context.Context, info *jetstream.StreamInfo, since time.Time, visit func(id string, stored time.Time) error) error {
	next := pageRequest{Since: &since, Subject: ">"}
	for next.Seq <= info.State.LastSeq {
		m, err := readFromLeader(ctx, a.link, info.Config.Name, next)
		if err != nil || m == nil {
			return err
		}
		next.Seq, next.Since = m.seq+1, nil
		id := lastOf(m.msg.Header, headerMsgID)
		if id == "" {
			continue
		}
		if err := visit(id, m.stored); err != nil {
			return err
		}
	}
	return nil
}
