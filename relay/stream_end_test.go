package relay

import (
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

const playedStream = "stompbox_history_all_e"

// played is a history whose servers are played by the test: the leader says how far the stream
// goes, and another server, which does not have all of it, answers what is read.
type played struct {
	*deaf
	t *testing.T

	mu    sync.Mutex // guards the following
	has   uint64     // up to where who is read from has the stream
	reads int        // that found nothing
}

const (
	playedKey  = "/topic/a"
	playedLast = 5 // what the leader has
)

func playHistory(t *testing.T) *played {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, Cluster: server.ClusterOpts{Name: "played", Host: "127.0.0.1", Port: -1}})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(s.WaitForShutdown)
	t.Cleanup(s.Shutdown)
	require.True(t, s.ReadyForConnections(patience))
	match, err := destination.ParsePattern("/topic/**")
	require.NoError(t, err)
	p := &played{deaf: &deaf{t: t, got: make(chan *driver.Message, 100)}, t: t, has: 1}
	p.Relay, err = Dial(Options{
		URL: s.ClientURL(), Logger: slog.New(slog.NewTextHandler(&p.said, nil)),
		Histories: HistorySettings{Policies: []driver.HistoryPolicy{{Name: "all", Match: match}}},
	})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	require.True(t, p.link.replicated())
	servers, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(servers.Close)
	_, err = servers.Subscribe("$JS.API.>", p.answer)
	require.NoError(t, err)
	require.NoError(t, servers.Flush())
	h := p.histories.streams.all["all"]
	h.mu.Lock()
	h.stream, h.verified = playedStream, true
	h.mu.Unlock()
	_, err = p.bus.Subscribe(playedKey, func(m *driver.Message) { p.got <- m })
	require.NoError(t, err)
	p.i = p.bus.interests[playedKey]
	return p
}

func (p *played) subject() string { return p.histories.streams.all["all"].prefix + ".topic.a" }

func (p *played) catchUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.has = playedLast
}

// vainReads returns how many readings found nothing.
func (p *played) vainReads() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads
}

// answer is what the servers say.
func (p *played) answer(msg *nats.Msg) {
	var q struct {
		Seq    uint64   `json:"seq"`
		Newest []string `json:"multi_last"`
	}
	_ = json.Unmarshal(msg.Data, &q)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case strings.HasPrefix(msg.Subject, "$JS.API.STREAM.INFO."):
		p.respond(msg, nil, `{"config":{"name":"`+playedStream+`"},"state":{"messages":5,"first_seq":1,"last_seq":`+strconv.Itoa(playedLast)+`},
			"cluster":{"leader":"a","replicas":[{"name":"b","active":1000},{"name":"c","active":1000}]}}`)
	case strings.HasPrefix(msg.Subject, "$JS.API.STREAM.MSG.GET.") && q.Seq > p.has:
		p.reads++
		p.respond(msg, nil, `{"error":{"code":404,"err_code":10037,"description":"no message found"}}`)
	case strings.HasPrefix(msg.Subject, "$JS.API.DIRECT.GET.") && len(q.Newest) > 0:
		if q.Seq <= p.has {
			p.send(msg, p.has)
		}
		p.respond(msg, nats.Header{"Status": {"204"}, "Nats-UpTo-Sequence": {strconv.FormatUint(p.has, 10)}}, "")
	case strings.HasPrefix(msg.Subject, "$JS.API.DIRECT.GET.") && q.Seq > p.has:
		p.respond(msg, nats.Header{"Status": {"404"}}, "")
	case strings.HasPrefix(msg.Subject, "$JS.API.DIRECT.GET."):
		for seq := q.Seq; seq <= p.has; seq++ {
			p.send(msg, seq)
		}
		p.respond(msg, nats.Header{"Status": {"204"}}, "")
	}
}

// send answers with a message, whose body is its sequence.
func (p *played) send(msg *nats.Msg, seq uint64) {
	text := strconv.FormatUint(seq, 10)
	p.respond(msg, nats.Header{headerStream: {playedStream}, headerSubject: {p.subject()}, headerSequence: {text}}, text)
}

func (p *played) respond(msg *nats.Msg, header nats.Header, body string) {
	_ = msg.RespondMsg(&nats.Msg{Header: header, Data: []byte(body)})
}

// arrives has a message come live, as the leader publishes it.
func (p *played) arrives(seq uint64) {
	p.i.arrived(&nats.Msg{Subject: "stompbox.topic.a", Data: []byte(strconv.FormatUint(seq, 10)), Header: nats.Header{
		headerStream: {playedStream}, headerSubject: {p.subject()},
		headerSequence: {strconv.FormatUint(seq, 10)}, headerLastSequence: {strconv.FormatUint(seq-1, 10)},
	}})
}

// TestAServerThatWasPausedDoesNotHideMessages: it leads until another one tells it, and answers
// what is read, while the next leader says how far the stream goes. What it does not have
// yet is fetched once it has, and is no gap.
func TestAServerThatWasPausedDoesNotHideMessages(t *testing.T) {
	t.Parallel()
	t.Run("from who is subscribed", func(t *testing.T) {
		t.Parallel()
		p := playHistory(t)
		p.arrives(1)
		p.gets(1, false)
		p.arrives(playedLast)
		require.Eventually(t, func() bool { return p.vainReads() >= 2 || len(p.got) > 0 }, patience, time.Millisecond)
		p.catchUp()
		for seq := 2; seq <= playedLast; seq++ {
			p.gets(seq, false)
		}
	})
	t.Run("from who comes", func(t *testing.T) {
		t.Parallel()
		p := playHistory(t)
		after := driver.StreamPosition{Epoch: "e", Seq: 1}
		request := driver.ReplayRequest{History: "all", Pattern: p.i.pattern, After: after}
		_, err := p.histories.Replay(t.Context(), request, func(*driver.Message) error { return nil })
		require.ErrorIs(t, err, driver.ErrUnavailable)
		p.catchUp()
		bodies, result := p.replay(after, nil)
		require.Equal(t, []string{"2", "3", "4", "5"}, bodies)
		require.False(t, result.Incomplete)
	})
}
