package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/relay"
)

// Scale is what a number of sessions costs one node.
type Scale struct {
	Sessions int `json:"sessions"`
	// ConnectCPU is CPU microseconds of a CONNECT with a token and a SUBSCRIBE.
	ConnectCPU float64 `json:"connect_cpu_us"`
	ConnectsPS float64 `json:"connects_per_second"`
	// SessionBytes is live memory of a session that is subscribed to what all are.
	SessionBytes float64 `json:"session_bytes"`
	// DeliveryCPU is CPU microseconds of a delivery, one message to all at a time.
	DeliveryCPU float64 `json:"delivery_cpu_us"`
	PublishMS   float64 `json:"publish_ms"` // until all have it
	// SubscribeCPU and UnsubscribeCPU are CPU microseconds, each session to a destination of its own.
	SubscribeCPU    float64 `json:"subscribe_cpu_us"`
	UnsubscribeCPU  float64 `json:"unsubscribe_cpu_us"`
	OwnBytes        float64 `json:"own_destination_bytes"` // live memory of such a destination
	IdleCPU         float64 `json:"idle_cpu_us"`           // CPU microseconds of a session and second, with heart-beats both ways
	ReconnectCPU    float64 `json:"reconnect_cpu_us"`      // CPU microseconds of an end and a new session
	ReconnectSecond float64 `json:"reconnect_seconds"`     // until all are back
	RSS             int64   `json:"rss_bytes"`             // of the whole process, at its largest
}

// simulation is a node with simulated clients.
type simulation struct {
	broker  *broker.Broker
	relay   *relay.Relay
	dir     *Dir
	seen    seen
	clients []client
	tokens  []string
	sent    int
	sender  *auth.Principal
	idleFor time.Duration
	// background is CPU seconds a second that all sessions take while nothing happens, most
	// of it the sweeper's. It is taken off the cost of what happens.
	background float64
}

const (
	allTopic  = "/topic/all"
	beatEvery = 10 * time.Second
)

// IdleFor is how long idle sessions are measured: their heart-beats have come once.
const IdleFor = beatEvery

// MeasureScale puts a number of sessions on one node in this process, on transports in
// memory, and measures them. Progress gets a line for each step. Tokens, permissions, limits and heart-beats are on. The share
// of the simulated clients is in the figures.
func MeasureScale(ctx context.Context, sessions int, idleFor time.Duration, progress io.Writer) (result Scale, err error) {
	s, err := newSimulation(sessions)
	if err != nil {
		return Scale{}, err
	}
	s.idleFor = idleFor
	defer func() { err = errors.Join(err, s.close()) }()
	result.Sessions = sessions
	stop := s.keepAlive()
	defer stop()
	for _, step := range []struct {
		name string
		run  func(context.Context, *Scale) error
	}{
		{"connect", s.connectAll}, {"idle", s.idle}, {"publish", s.publishToAll}, {"subscribe", s.subscribeOwn}, {"reconnect", s.reconnectAll},
	} {
		start := time.Now()
		if err := step.run(ctx, &result); err != nil {
			return result, fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(progress, "%d sessions: %s took %s\n", sessions, step.name, time.Since(start).Round(time.Millisecond))
		if wrong := s.seen.wrong.Load(); wrong != nil {
			return result, errors.New(*wrong)
		}
		result.RSS = max(result.RSS, residentBytes())
	}
	return result, nil
}

const simulatedSecret = "a secret for sessions that are simulated, 32 bytes"

func newSimulation(sessions int) (*simulation, error) {
	key, err := auth.NewSecretKey("", "", []byte(simulatedSecret))
	if err != nil {
		return nil, err
	}
	verifier, err := auth.NewVerifier(auth.VerifierOptions{Keys: auth.StaticKeys{key}})
	if err != nil {
		return nil, err
	}
	s := &simulation{}
	if s.sender, err = newSender(); err != nil {
		return nil, err
	}
	if err := s.makeClients(sessions, key); err != nil {
		return nil, err
	}
	if s.dir, err = NewDir(); err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	if s.relay, err = relay.Embed(relay.EmbeddedOptions{DataDir: s.dir.Path}, relay.Options{Logger: log}); err != nil {
		return nil, errors.Join(err, s.dir.Remove())
	}
	s.broker, err = broker.New(broker.Options{
		Authenticator: &auth.Authenticator{Tokens: verifier}, Driver: s.relay.Driver(), Logger: log,
		HeartBeat: broker.HeartBeat{Send: beatEvery, Receive: beatEvery},
	})
	if err != nil {
		s.relay.Close()
		return nil, errors.Join(err, s.dir.Remove())
	}
	return s, nil
}

func newSender() (*auth.Principal, error) {
	permissions, err := auth.NewPermissions(auth.Grants{Send: []string{"/topic/**"}}, "sender")
	return &auth.Principal{Name: "sender", Permissions: permissions}, err
}

// makeClients makes the clients and their tokens, so that neither counts as memory of
// the node.
func (s *simulation) makeClients(n int, key auth.Key) error {
	s.clients, s.tokens = make([]client, n), make([]string, n)
	return s.each(func(i int) error {
		s.clients[i].seen, s.clients[i].number = &s.seen, int32(i)
		token, err := auth.Sign(key, auth.Claims{
			Subject: "user-" + strconv.Itoa(i), TTL: 3 * time.Hour, Grants: auth.Grants{Subscribe: []string{"/topic/**"}},
		})
		s.tokens[i] = token
		return err
	})
}

func (s *simulation) close() error {
	for i := range s.clients {
		if session := s.clients[i].session.Load(); session != nil {
			session.Detach(nil)
		}
	}
	err := s.broker.Shutdown(context.Background())
	s.relay.Close()
	s.clients, s.tokens = nil, nil
	err = errors.Join(err, s.dir.Remove())
	debug.FreeOSMemory()
	return err
}

// each calls do for every client, from as many goroutines as there are processors.
func (s *simulation) each(do func(i int) error) error {
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < len(s.clients); i += workers {
				if err := do(i); err != nil {
					errs[w] = fmt.Errorf("client %d: %w", i, err)
					return
				}
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// keepAlive has no client miss its heart-beats in steps that take long, at next to no
// cost. Those of idle sessions are sent as frames.
func (s *simulation) keepAlive() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(beatEvery / 2):
			}
			for i := range s.clients {
				if session := s.clients[i].session.Load(); session != nil {
					session.Touch()
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}

// connect opens a session, and subscribes it to what all are.
func (s *simulation) connect(i int) error {
	c := &s.clients[i]
	session, err := s.broker.Open(c)
	if err != nil {
		return err
	}
	c.session.Store(session)
	c.next = int32(s.sent)
	err = session.Receive([]byte("CONNECT\naccept-version:1.2\nheart-beat:10000,10000\nAuthorization:Bearer " + s.tokens[i] + "\n\n\x00"))
	if err != nil {
		return err
	}
	return session.Receive([]byte("SUBSCRIBE\nid:sub-0\ndestination:" + allTopic + "\nreceipt:r\n\n\x00"))
}

func (s *simulation) connectAll(ctx context.Context, r *Scale) error {
	before := liveBytes()
	span := s.startSpan()
	if err := s.each(s.connect); err != nil {
		return err
	}
	n := int64(len(s.clients))
	if err := s.await(ctx, "receipts", s.seen.receipts.Load, n); err != nil {
		return err
	}
	cpu, took := span.end()
	r.ConnectCPU, r.ConnectsPS = PerUnit(cpu, len(s.clients)), float64(n)/took.Seconds()
	r.SessionBytes = float64(liveBytes()-before) / float64(n)
	return nil
}

// publishToAll sends one message at a time, some millions of deliveries in all.
func (s *simulation) publishToAll(ctx context.Context, r *Scale) error {
	messages := min(max(3_000_000/len(s.clients), 5), 1000)
	body := make([]byte, 128)
	span := s.startSpan()
	for range messages {
		for i := range body {
			body[i] = 'x'
		}
		copy(body, strconv.Itoa(s.sent)+" ")
		wanted := s.seen.messages.Load() + int64(len(s.clients))
		if _, err := s.broker.Send(ctx, s.sender, broker.Publication{Destination: allTopic, Body: body}); err != nil {
			return err
		}
		s.sent++
		if err := s.await(ctx, "messages", s.seen.messages.Load, wanted); err != nil {
			return err
		}
		body = make([]byte, 128)
	}
	cpu, took := span.end()
	r.DeliveryCPU = PerUnit(cpu, messages*len(s.clients))
	r.PublishMS = took.Seconds() * 1e3 / float64(messages)
	return nil
}

// subscribeOwn subscribes each session to a destination of its own, as those of users are,
// and takes that back. What they take is measured in between.
func (s *simulation) subscribeOwn(ctx context.Context, r *Scale) error {
	before, wanted := liveBytes(), s.seen.receipts.Load()+int64(len(s.clients))
	span := s.startSpan()
	err := s.each(func(i int) error {
		return s.clients[i].session.Load().Receive([]byte("SUBSCRIBE\nid:own\ndestination:/topic/own." + strconv.Itoa(i) + "\nreceipt:r\n\n\x00"))
	})
	if err == nil {
		err = s.await(ctx, "receipts", s.seen.receipts.Load, wanted)
	}
	if err != nil {
		return err
	}
	cpu, _ := span.end()
	r.SubscribeCPU, r.OwnBytes = PerUnit(cpu, len(s.clients)), float64(liveBytes()-before)/float64(len(s.clients))
	wanted += int64(len(s.clients))
	span = s.startSpan()
	err = s.each(func(i int) error {
		return s.clients[i].session.Load().Receive([]byte("UNSUBSCRIBE\nid:own\nreceipt:r\n\n\x00"))
	})
	if err == nil {
		err = s.await(ctx, "receipts", s.seen.receipts.Load, wanted)
	}
	cpu, _ = span.end()
	r.UnsubscribeCPU = PerUnit(cpu, len(s.clients))
	return err
}

// idle has all clients send their heart-beats, spread over the interval, while the
// sweeper sends the broker's and looks for those that are missed.
func (s *simulation) idle(ctx context.Context, r *Scale) error {
	const slices = 100
	eol := []byte("\n")
	span := s.startSpan()
	err := inTime(ctx, s.idleFor, slices, func(part int) error {
		for i := part; i < len(s.clients); i += slices {
			if err := s.clients[i].session.Load().Receive(eol); err != nil {
				return fmt.Errorf("client %d is gone: %w", i, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	cpu, took := span.end()
	// Each client sent the one heart-beat that was due in this time, even if that took longer.
	r.IdleCPU = PerUnit(cpu, len(s.clients)) / s.idleFor.Seconds()
	s.background = cpu.Seconds() / took.Seconds()
	if s.idleFor >= beatEvery && s.seen.beats.Load() == 0 {
		return errors.New("no heart-beat came")
	}
	return nil
}

// inTime does parts of some work, spread over a time. Those that are late follow at once.
func inTime(ctx context.Context, over time.Duration, parts int, do func(part int) error) error {
	start := time.Now()
	for part := range parts {
		if err := do(part); err != nil {
			return err
		}
		select {
		case <-time.After(time.Until(start.Add(over * time.Duration(part+1) / time.Duration(parts)))):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// reconnectAll ends all sessions at once, as a cut link does, and opens them again.
func (s *simulation) reconnectAll(ctx context.Context, r *Scale) error {
	wanted := s.seen.receipts.Load() + int64(len(s.clients))
	span := s.startSpan()
	err := s.each(func(i int) error {
		s.clients[i].session.Load().Detach(nil)
		return nil
	})
	if err == nil {
		err = s.each(s.connect)
	}
	if err == nil {
		err = s.await(ctx, "receipts", s.seen.receipts.Load, wanted)
	}
	cpu, took := span.end()
	r.ReconnectCPU, r.ReconnectSecond = PerUnit(cpu, len(s.clients)), took.Seconds()
	return err
}

// await returns when a count has become what is wanted, or something is wrong.
func (s *simulation) await(ctx context.Context, what string, count func() int64, wanted int64) error {
	last, since := count(), time.Now()
	for {
		got := count()
		if got >= wanted {
			return nil
		}
		if wrong := s.seen.wrong.Load(); wrong != nil {
			return errors.New(*wrong)
		}
		if got != last {
			last, since = got, time.Now()
		}
		if time.Since(since) > time.Minute {
			return fmt.Errorf("%d of %d %s came, and no more for a minute", got, wanted, what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// span measures the CPU time of this process, without that of idle sessions.
type span struct {
	cpu        time.Duration
	from       time.Time
	background float64
}

func (s *simulation) startSpan() span { return span{cpuTime(), time.Now(), s.background} }

func (s span) end() (cpu, took time.Duration) {
	took = time.Since(s.from)
	return max(0, cpuTime()-s.cpu-time.Duration(s.background*float64(took))), took
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// liveBytes is what the heap and the stacks hold after a collection.
func liveBytes() int64 {
	runtime.GC()
	runtime.GC() // what pools gave up is free only now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
