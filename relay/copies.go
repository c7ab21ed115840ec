package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// copySubject is of the question what the server of a node has of a stream.
	copySubject = "copy"
	// copiesEvery is how often that is asked, and copiesSay how often the log says how many have it.
	copiesEvery = 250 * time.Millisecond
	copiesSay   = 10 * time.Second
	// copiesTimeout is how long it may take until a majority has what was restored, and copiesAway
	// how long so many servers may be away meanwhile that none can be had.
	copiesTimeout = restoreTimeout / 2
	copiesAway    = 30 * time.Second
)

// copies finds out which servers have all of a stream. A server that joins a stream, or one that
// was restored, gets the log at once, which then only says that there are messages. It fetches
// those from the leader later, and until then they are on the leader alone. JetStream's
// information about a stream does not tell this apart, so the nodes ask each other what their
// own servers have.
type copies struct {
	link         *link
	members      *members
	ask          func(ctx context.Context, stream string) []streamCopy
	within, away time.Duration
}

// streamCopy is what one server has of a stream.
type streamCopy struct {
	Server   string `json:"server"`  // "" where the node has no server of its own
	Current  bool   `json:"current"` // it has applied the log, and fetches nothing
	Last     uint64 `json:"last"`
	Messages uint64 `json:"messages"`
}

func newCopies(l *link, m *members) *copies {
	c := &copies{link: l, members: m, within: copiesTimeout, away: copiesAway}
	c.ask = c.askNodes
	return c
}

// begin answers what other nodes ask.
func (c *copies) begin() error {
	return c.members.HandleRequest(copySubject, func(stream []byte) []byte {
		answer, err := json.Marshal(c.link.server.copyOf(string(stream)))
		if err != nil {
			return nil
		}
		return answer
	})
}

// copyOf returns what an embedded server has of a stream.
func (s *Server) copyOf(stream string) streamCopy {
	if s == nil {
		return streamCopy{}
	}
	running := s.running()
	found := streamCopy{Server: running.Name()}
	detail, err := running.JszAccount(&server.JSzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Streams: true})
	if err != nil {
		return found
	}
	for i := range detail.Streams {
		if d := &detail.Streams[i]; d.Name == stream {
			found.Last, found.Messages = d.State.LastSeq, d.State.Msgs
			// It is asked last: a server that begins to fetch after the look has less than all.
			found.Current = running.JetStreamIsStreamCurrent(server.DEFAULT_GLOBAL_ACCOUNT, stream)
		}
	}
	return found
}

// askNodes returns what the servers of all nodes have.
func (c *copies) askNodes(ctx context.Context, stream string) []streamCopy {
	all := []streamCopy{c.link.server.copyOf(stream)}
	replies, _ := c.members.Request(ctx, copySubject, []byte(stream))
	for _, reply := range replies {
		var found streamCopy
		if json.Unmarshal(reply.Body, &found) == nil {
			all = append(all, found)
		}
	}
	return slices.DeleteFunc(all, func(found streamCopy) bool { return found.Server == "" })
}

// spread is how far a stream has come to its servers.
type spread struct {
	servers int      // that it is to be on
	have    []string // those that have all of it
	heard   int      // those of which it is known what they have
}

func (s spread) majority() int { return s.servers/2 + 1 }

func (s spread) String() string {
	if len(s.have) == 0 {
		return fmt.Sprintf("none of %d nodes is known to have all of it", s.servers)
	}
	return fmt.Sprintf("of %d nodes, only %s is known to have all of it", s.servers, strings.Join(s.have, ", "))
}

// spreadOf judges what servers have by what the leader said before they were asked, and after.
func spreadOf(last uint64, before, after *jetstream.StreamInfo, found []streamCopy) spread {
	s := spread{servers: max(after.Config.Replicas, 1)}
	leader, replicas := "", []*jetstream.PeerInfo(nil)
	if cluster := after.Cluster; cluster != nil {
		leader, replicas = cluster.Leader, cluster.Replicas
		s.servers = max(s.servers, len(replicas)+1)
		if len(found) == 0 { // an external server: only the leader says what the others have
			for _, r := range replicas {
				if !r.Offline {
					s.heard++
				}
				if r.Current && !r.Offline && r.Lag == 0 {
					s.have = append(s.have, r.Name)
				}
			}
		}
	}
	asked := slices.ContainsFunc(found, func(f streamCopy) bool { return f.Server == leader })
	if !asked {
		s.heard++
		if after.State.LastSeq >= last {
			s.have = append(s.have, leader)
		}
	}
	for _, f := range found {
		if f.Server == leader || len(replicas) == 0 || slices.ContainsFunc(replicas, func(r *jetstream.PeerInfo) bool { return r.Name == f.Server }) {
			s.heard++ // others of a large cluster have nothing of it
		}
		// Messages may be removed meanwhile. Where there are new ones, their number says nothing.
		whole := after.State.LastSeq > last || f.Messages >= min(before.State.Msgs, after.State.Msgs)
		if f.Current && f.Last >= last && whole {
			s.have = append(s.have, f.Server)
		}
	}
	slices.Sort(s.have)
	return s
}

// await returns when a majority of a stream's servers have all messages up to one, and all
// that the leader has when it is first asked. An error that wraps [driver.ErrNotReplicated] says
// which have it.
func (c *copies) await(ctx context.Context, stream string, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	var before *jetstream.StreamInfo
	var state spread
	reached, said := time.Now(), time.Now()
	for {
		after, err := c.link.lookAt(ctx, stream)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound) && (before != nil || time.Since(reached) >= c.away):
			return storeError("cannot look at "+stream, err)
		case err == nil && after.Config.Replicas <= 1 && (after.Cluster == nil || len(after.Cluster.Replicas) == 0):
			return nil // there is one copy
		case err == nil && before == nil:
			last = max(last, after.State.LastSeq)
			before = after
		}
		if err == nil {
			found := c.ask(ctx, stream)
			if after, err = c.link.lookAt(ctx, stream); err == nil {
				state = spreadOf(last, before, after, found)
				before = after
				if len(state.have) >= state.majority() {
					return nil
				}
				if state.heard >= state.majority() {
					reached = time.Now()
				}
			}
		}
		if ctx.Err() != nil || time.Since(reached) >= c.away {
			return c.notYet(stream, state)
		}
		if time.Since(said) >= copiesSay {
			said = time.Now()
			c.link.log.Info("a stream is being copied to other servers", "stream", stream, "have", state.have, "servers", state.servers)
		}
		pause(ctx, copiesEvery)
	}
}

func (c *copies) notYet(stream string, s spread) error {
	if s.servers == 0 {
		return fmt.Errorf("%w: it is not known which nodes have all of %s: its leader cannot be reached", driver.ErrNotReplicated, stream)
	}
	return fmt.Errorf("%w: %s", driver.ErrNotReplicated, s)
}

// follow says in the log when a majority has all of a stream, in the background.
func (c *copies) follow(stream string, last uint64) {
	l := c.link
	l.background.Go(func() {
		began := time.Now()
		for l.ctx.Err() == nil {
			err := c.await(l.ctx, stream, last)
			switch {
			case err == nil:
				l.log.Info("a majority of the servers has all of a stream", "stream", stream, "took", time.Since(began).Round(time.Millisecond))
				return
			case !errors.Is(err, driver.ErrNotReplicated):
				return // it is gone, or all is
			case l.ctx.Err() == nil:
				l.log.Warn("a stream is not on a majority of its servers; do not stop the nodes that have it", "stream", stream, "error", err)
			}
		}
	})
}

// grown notes that a stream is to be on more servers than before.
func (c *copies) grown(stream string, before, now int) {
	if c == nil || before >= now {
		return
	}
	c.link.log.Warn("a stream gets more replicas; do not stop a node until the log says that a majority of the servers has it", "stream", stream, "before", before, "replicas", now)
	c.follow(stream, 0)
}
