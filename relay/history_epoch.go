package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// metadataEpoch is where a stream says which epoch its messages are of, once that is
// another one than its name's.
const metadataEpoch = "stompbox-epoch"

// laterEpoch is the epoch of a stream that lost messages which were confirmed. Numbers
// would be given twice in the one before.
type laterEpoch struct{ stream, epoch string }

// newEpoch names an epoch that begins now, later than one before.
func newEpoch(before string) string {
	now := time.Now().UnixMilli()
	if last, err := strconv.ParseInt(before, 36, 64); err == nil {
		now = max(now, last+1) // another node's clock may be ahead
	}
	return strconv.FormatInt(now, 36)
}

// learnEpoch notes which epoch a stream's messages are of, and what was cleared of it. An
// epoch never comes back: who names an earlier one does not know the later one yet.
func (h *history) learnEpoch(config *jetstream.StreamConfig) {
	h.learnCleared(config)
	epoch := config.Metadata[metadataEpoch]
	if now := h.later.Load(); epoch != "" && (now == nil || now.stream != config.Name || isLater(epoch, now.epoch)) {
		h.later.Store(&laterEpoch{config.Name, epoch})
	}
	if when, ok := config.Metadata[metadataRestored]; ok {
		h.restored.Store(&when)
	}
}

// isLater reports whether an epoch began after another one of the same stream.
func isLater(epoch, than string) bool {
	a, errA := strconv.ParseInt(epoch, 36, 64)
	b, errB := strconv.ParseInt(than, 36, 64)
	if errA != nil || errB != nil {
		return epoch != than
	}
	return a > b
}

// epochIn returns the epoch of a stream of the history.
func (h *history) epochIn(stream string) string {
	if later := h.later.Load(); later != nil && later.stream == stream {
		return later.epoch
	}
	return stream[len(h.base)+1:]
}

// streamOf returns the stream that has an epoch, where it may be there.
func (h *history) streamOf(epoch string) (name string, ok bool) {
	name = h.base + "_" + epoch
	if later := h.later.Load(); later != nil && later.epoch == epoch {
		name = later.stream
	}
	h.mu.Lock()
	known := h.stream
	h.mu.Unlock()
	return name, h.epochIn(name) == epoch && (known == "" || known == name)
}

// ofKey returns the history that keeps a routing key, or nil.
func (s *historyStreams) ofKey(key string) *history {
	for _, p := range s.settings.Policies {
		if p.Match.Match(key) {
			return s.all[p.Name]
		}
	}
	return nil
}

// verify brings a stream that is there in line with its policy, and begins an epoch where
// it ends before what this node has confirmed. The caller holds the history's lock.
func (s *historyStreams) verify(ctx context.Context, h *history, name string) error {
	info, err := s.link.lookAt(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) { // another node has just made it
		if err := s.awaitLeader(ctx, name); err != nil {
			return err
		}
		info, err = s.link.lookAt(ctx, name)
	}
	if err != nil {
		return storeError("cannot look at "+name, err)
	}
	s.elections.know(name, info)
	if err := checkFormat(name, info.Config.Metadata); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	h.learnEpoch(&info.Config)
	config := s.config(h, name)
	if _, err := s.link.js.UpdateStream(ctx, config); err != nil {
		return storeError("cannot set the limits of the history "+h.policy.Name, err)
	}
	s.copies.grown(name, info.Config.Replicas, config.Replicas)
	// A majority has just answered, so this node is not cut off. How far the stream goes is
	// judged by what its leader says after that.
	if info, err = s.link.lookAt(ctx, name); err != nil {
		return storeError("cannot look at "+name, err)
	}
	lost, err := s.lostConfirmed(h, name, info.State.LastSeq)
	if err != nil {
		return err
	}
	if lost == "" {
		h.beginning = nil
	} else if err := s.beginEpochLocked(ctx, h, info, lost); err != nil {
		return err
	}
	return s.confirmed.begin(h.policy.Name, name, info.State.LastSeq)
}

// beginEpochLocked gives the messages that come to a stream from now on a later epoch. No message
// is of that epoch before the stream has it, which takes a majority. Where that fails, the same
// epoch is tried again. The caller holds the history's lock.
func (s *historyStreams) beginEpochLocked(ctx context.Context, h *history, info *jetstream.StreamInfo, why string) error {
	name := info.Config.Name
	if h.beginning == nil || h.beginning.stream != name {
		h.beginning = &laterEpoch{name, newEpoch(h.epochIn(name))}
	}
	if _, err := s.link.js.UpdateStream(ctx, s.configIn(h, name, h.beginning)); err != nil {
		return storeError("cannot begin a new epoch of the history "+h.policy.Name, err)
	}
	h.later.Store(h.beginning)
	h.beginning = nil
	s.link.log.Error("a history lost messages that were confirmed; it begins a new epoch, and clients that come back read replay:incomplete", "history", h.policy.Name, "stream", name, "ends", info.State.LastSeq, "why", why, "epoch", h.epochIn(name))
	return nil
}

// lostConfirmed says why a stream that ends at a sequence lost what was confirmed, or "". It is
// asked with what a leader said that a majority has heard lately. Servers that are back with
// each other may still elect one that has all.
func (s *historyStreams) lostConfirmed(h *history, name string, end uint64) (string, error) {
	if s.confirmed == nil {
		return "", nil
	}
	stream, seq, err := s.confirmed.read(h.policy.Name)
	if err != nil {
		return "", fmt.Errorf("relay: what was confirmed of the history %s: %w", h.policy.Name, err)
	}
	server := s.link.server
	switch {
	case stream != name:
		return "", nil
	case end < seq && server.clustered && s.link.states.connectedFor(time.Now()) < staleWait:
		return "", fmt.Errorf("%w: the history %s is not there yet up to %d", driver.ErrUnavailable, h.policy.Name, seq)
	case end < seq:
		return "it was confirmed up to " + strconv.FormatUint(seq, 10), nil
	case server.data.rebooted && !server.clustered:
		return "the machine went down, and what was not synced may be lost", nil
	}
	return "", nil
}

// confirmedPlaces are, in a file for each history, up to where this node has confirmed to senders
// that their messages are stored. The kernel keeps what was written there when the process
// dies. They are safe for concurrent use.
type confirmedPlaces struct {
	dir string

	mu    sync.RWMutex // guards the following
	files map[string]*confirmedPlace
}

// confirmedPlace is one of them.
type confirmedPlace struct {
	mu   sync.Mutex // guards the following
	file *os.File
	seq  uint64
}

func (c *confirmedPlaces) path(policy string) string {
	return c.dir + string(os.PathSeparator) + policy
}

// read returns what the file of a policy says; nothing where there is none.
func (c *confirmedPlaces) read(policy string) (stream string, seq uint64, err error) {
	data, err := os.ReadFile(c.path(policy))
	if os.IsNotExist(err) || err == nil && len(data) < 8 {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	return string(data[8:]), binary.LittleEndian.Uint64(data), nil
}

// all returns up to where each stream was confirmed since a time, as the last process left it.
func (c *confirmedPlaces) all(since time.Time) map[string]uint64 {
	if c == nil {
		return nil
	}
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return nil // there is none before the first stream
	}
	places := make(map[string]uint64, len(files))
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.ModTime().Before(since) {
			continue
		}
		if stream, seq, err := c.read(f.Name()); err == nil && stream != "" && !strings.HasSuffix(f.Name(), ".new") {
			places[stream] = seq
		}
	}
	return places
}

// begin has what a stream confirms noted, from a sequence on.
func (c *confirmedPlaces) begin(policy, stream string, seq uint64) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[stream] != nil {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	data := append(binary.LittleEndian.AppendUint64(nil, seq), stream...)
	written := c.path(policy) + ".new"
	if err := os.WriteFile(written, data, 0o600); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if err := os.Rename(written, c.path(policy)); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	file, err := os.OpenFile(c.path(policy), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	c.files[stream] = &confirmedPlace{file: file, seq: seq}
	return nil
}

// beginAgain is begin for a stream that may be another one than before under its name. Where
// nothing can be written, as on a full disk, nothing is noted.
func (c *confirmedPlaces) beginAgain(file, stream string, seq uint64) {
	if c == nil || c.begin(file, stream, seq) != nil {
		return
	}
	c.mu.RLock()
	place := c.files[stream]
	c.mu.RUnlock()
	place.mu.Lock()
	defer place.mu.Unlock()
	if seq < place.seq {
		place.writeLocked(seq)
	}
}

// note is called with each answer of JetStream, before its sender gets it.
func (c *confirmedPlaces) note(answer []byte) {
	stream, seq := placeConfirmed(answer)
	c.mu.RLock()
	place := c.files[string(stream)]
	c.mu.RUnlock()
	if place != nil {
		place.note(seq)
	}
}

func (p *confirmedPlace) note(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if seq > p.seq {
		p.writeLocked(seq)
	}
}

func (p *confirmedPlace) writeLocked(seq uint64) {
	p.seq = seq
	var data [8]byte
	binary.LittleEndian.PutUint64(data[:], seq)
	_, _ = p.file.WriteAt(data[:], 0) // of bytes that the file has already
}

func (c *confirmedPlaces) close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, place := range c.files {
		_ = place.file.Close()
	}
}

// placeConfirmed reads the stream and the sequence of an answer, such as
// {"stream":"a","seq":7}, or returns nothing.
func placeConfirmed(answer []byte) (stream []byte, seq uint64) {
	rest, ok := bytes.CutPrefix(answer, goodAck)
	if !ok {
		return nil, 0
	}
	_, rest, _ = bytes.Cut(rest, []byte(`"`))
	stream, rest, _ = bytes.Cut(rest, []byte(`"`))
	if _, rest, ok = bytes.Cut(rest, []byte(`"seq":`)); !ok {
		return nil, 0
	}
	for _, c := range bytes.TrimLeft(rest, " ") {
		if c < '0' || c > '9' {
			break
		}
		seq = seq*10 + uint64(c-'0')
	}
	return stream, seq
}
