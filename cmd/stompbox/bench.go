package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/bench"
	"github.com/stompbox/stompbox/internal/openfiles"
)

// benchOptions are what all benchmarks have.
type benchOptions struct {
	connections, messages, inFlight, size, rounds int
	rate                                          int // requests a second, where they come by the clock
	burst                                         bool
	bursts                                        bool   // it can be measured with bursts
	server                                        string // the program to measure, "" for this one
}

// benchmark measures one thing: less of its figure is better.
type benchmark struct {
	name, short string
	run         func(context.Context, *benchServer, benchOptions) (string, float64, error)
	options     benchOptions
}

var benchmarks = []benchmark{
	{"fanout", "One publisher to many WebSocket subscribers of one topic", benchFanout, benchOptions{connections: 1000, messages: 2000, inFlight: 64, bursts: true}},
	{"cluster", "The same over two nodes on one NATS, compared with one node", benchCluster, benchOptions{connections: 1000, messages: 2000, inFlight: 64, bursts: true}},
	{"idle", "Memory of idle, subscribed WebSockets", benchIdle, benchOptions{connections: 5000}},
	{"private", "Memory of idle WebSockets, each subscribed to its own destination", benchPrivate, benchOptions{connections: 5000}},
	{"sse", "Fan-out to streams of events, compared with WebSockets", benchEvents, benchOptions{connections: 1000, messages: 2000, inFlight: 64, bursts: true}},
	{"tls", "Fan-out over TLS, compared with plain WebSockets", benchTLS, benchOptions{connections: 1000, messages: 2000, inFlight: 64, bursts: true}},
	{"queue", "A durable queue: pipelined receipts, consumers with client-individual", benchQueue, benchOptions{connections: 4, messages: 200000, inFlight: 256}},
	{"backlog", "The cost of a queue with a million messages, in memory and for topics", benchBacklog, benchOptions{connections: 1000, messages: 1000, inFlight: 64, bursts: true}},
	{"history", "A topic with a history: store messages with receipts, and replay them", benchHistory, benchOptions{messages: 200000, inFlight: 256}},
	{"resume", "Clients that come back at once, each with the last message it has", benchResume, benchOptions{connections: 2000, messages: 20}},
	{"app", "Requests at fixed times to one app server over STOMP, which answers each", benchRequests, benchOptions{connections: 10, messages: 100000, rate: 10000}},
	{"pingpong", "One message at a time from one WebSocket to another", benchPingpong, benchOptions{messages: 20000}},
}

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a broker that runs in a separate process on loopback",
		Long:  "Each benchmark starts `serve` of this program with its defaults, and with JWT, permissions, limits,\nmetrics and heart-beats on. It reads the CPU time and memory of that process only.",
	}
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkBenchFlags(cmd.Flags()); err != nil {
			return err
		}
		return checkOpenFiles(cmd.Flags(), openfiles.Limit)
	}
	for _, b := range benchmarks {
		cmd.AddCommand(newBenchOf(b))
	}
	cmd.AddCommand(newBenchGuard(), newBenchScale(), newBenchConnections(), newBenchSwarm())
	return cmd
}

// checkBenchFlags refuses what measures nothing.
func checkBenchFlags(f *pflag.FlagSet) (err error) {
	f.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		switch f.Value.Type() {
		case "int", "duration":
		case "intSlice":
			values = f.Value.(pflag.SliceValue).GetSlice()
		default:
			return
		}
		if size, _ := strconv.Atoi(values[0]); f.Name == "size" && size > frames.DefaultMaxBody {
			err = fmt.Errorf("--size: %d is above %d, the default of limits.body", size, frames.DefaultMaxBody)
		}
		for _, v := range values {
			if n, _ := strconv.Atoi(v); f.Name == "sessions" && n > maxSimulated {
				err = fmt.Errorf("--sessions: %s is above %d", v, maxSimulated)
			}
			if v == "0" || v == "0s" || strings.HasPrefix(v, "-") {
				err = fmt.Errorf("--%s: %s is not above 0", f.Name, v)
			}
		}
		if len(values) == 0 {
			err = fmt.Errorf("--%s: there is no number", f.Name)
		}
	})
	return err
}

// checkOpenFiles refuses more connections than a node accepts, of which the clients would only see
// that they fail.
func checkOpenFiles(f *pflag.FlagSet, limit func() (soft, hard uint64, err error)) error {
	flag, nodes := f.Lookup("connections"), 1
	soft, _, err := limit()
	if flag == nil || err != nil || openfiles.Connections(soft) == 0 {
		return nil
	}
	if n, err := f.GetInt("nodes"); err == nil {
		nodes = n
	}
	values := []string{flag.Value.String()}
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	room := nodes * openfiles.Connections(soft)
	for _, v := range values {
		if n, _ := strconv.Atoi(v); n > room {
			return fmt.Errorf("--connections: %d are more than the %d that the limit of open files (%d) leaves room for; raise it with ulimit -n, or use fewer", n, room, soft)
		}
	}
	return nil
}

func newBenchOf(b benchmark) *cobra.Command {
	o := b.options
	cmd := &cobra.Command{Use: b.name, Short: b.short, Args: cobra.NoArgs}
	f := cmd.Flags()
	// Only what has an effect can be set.
	for _, n := range []struct {
		value       *int
		name, usage string
	}{
		{&o.connections, "connections", "WebSocket clients"},
		{&o.messages, "messages", "messages to send in a round"},
		{&o.inFlight, "in-flight", "how many messages are sent before the first one has reached all"},
		{&o.rate, "rate", "requests a second"},
	} {
		if *n.value > 0 {
			f.IntVar(n.value, n.name, *n.value, n.usage)
		}
	}
	if o.bursts {
		f.BoolVar(&o.burst, "burst", false, "send the messages in flight at once, then wait for all of them")
	}
	if o.size = 128; o.messages > 0 {
		f.IntVar(&o.size, "size", o.size, "bytes in a body")
	}
	f.IntVar(&o.rounds, "rounds", 3, "rounds; the median is printed")
	f.StringVar(&o.server, "server", "", "the stompbox binary to measure; this one by default")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var figures []float64
		for range o.rounds {
			// A server of its own for each round, so that none inherits memory.
			line, figure, err := b.round(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), line)
			figures = append(figures, figure)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "median: %.2f\n", bench.Median(figures))
		return nil
	}
	return cmd
}

// round measures once, with a server of its own.
func (b benchmark) round(ctx context.Context, o benchOptions) (line string, figure float64, err error) {
	err = oneRun(ctx, o, 5*time.Minute, func(ctx context.Context, run benchRun) error {
		server, err := startBenchServer(ctx, run)
		if err != nil {
			return err
		}
		defer server.stop()
		line, figure, err = b.run(ctx, server, o)
		return err
	})
	if err == nil && !(figure > 0 && figure < math.Inf(1)) {
		err = fmt.Errorf("%.2f is no figure: use more connections or messages", figure)
	}
	return line, figure, err
}

// benchFanout returns server CPU seconds per million deliveries.
func benchFanout(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	publisher, subscribers, err := s.dialAll(ctx, o.connections)
	if err != nil {
		return "", 0, err
	}
	defer closeAll(append(subscribers, publisher))
	took, cpu, err := fanOut(ctx, o, publisher, subscribers, s)
	if err != nil {
		return "", 0, err
	}
	figure := o.perMillion(cpu[0])
	return fmt.Sprintf("fanout: %d subscribers, %d messages of %d B, %d in flight: %.2f server CPU s per million deliveries, %.0f deliveries/s, none lost, in order",
		o.connections, o.messages, o.size, o.inFlight, figure, float64(o.messages*o.connections)/took.Seconds()), figure, nil
}

// perMillion is CPU seconds per million deliveries.
func (o benchOptions) perMillion(used time.Duration) float64 {
	return used.Seconds() / float64(o.messages*o.connections) * 1e6
}

// sequenceReader is a subscriber of a benchmark.
type sequenceReader interface {
	// readOne wants number i as the next message.
	readOne(i int) error
}

// fanOut sends all messages, and returns when all subscribers have them, in order. It returns how
// long that took, and the CPU time of each server. Then it sends one message more, which has to be
// the next one: none was repeated.
func fanOut[T sequenceReader](ctx context.Context, o benchOptions, publisher *benchClient, subscribers []T, servers ...*benchServer) (took time.Duration, cpu []time.Duration, err error) {
	for _, s := range servers {
		cpu = append(cpu, -s.cpu())
	}
	start := time.Now()
	if err := sendToAll(ctx, o, publisher, subscribers); err != nil {
		return 0, nil, err
	}
	took = time.Since(start)
	for i, s := range servers {
		cpu[i] += s.cpu()
	}
	if err := publisher.publish(o.messages, o.size); err != nil {
		return 0, nil, err
	}
	for _, c := range subscribers {
		if err := c.readOne(o.messages); err != nil {
			return 0, nil, err
		}
	}
	return took, cpu, nil
}

func sendToAll[T sequenceReader](ctx context.Context, o benchOptions, publisher *benchClient, subscribers []T) error {
	count := newWindow(len(subscribers), o.messages)
	failed := make(chan error, len(subscribers))
	for _, c := range subscribers {
		go func() { failed <- readSequence(c, o.messages, count.arrived) }()
	}
	for i := range o.messages {
		if err := count.waitFor(ctx, o.mustHaveArrived(i)); err != nil {
			return err
		}
		if err := publisher.publish(i, o.size); err != nil {
			return err
		}
	}
	for range subscribers {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

// readSequence reads n messages, checks that they are 0 to n-1, and reports each.
func readSequence(c sequenceReader, n int, arrived func(i int)) error {
	for i := range n {
		if err := c.readOne(i); err != nil {
			return err
		}
		arrived(i)
	}
	return nil
}

// mustHaveArrived returns which message has to have reached all before message i
// is sent.
func (o benchOptions) mustHaveArrived(i int) int {
	if o.burst {
		return i - i%o.inFlight - 1
	}
	return i - o.inFlight
}

// benchIdle returns KB of resident memory per connection.
func benchIdle(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	return idle(ctx, s, o, "", func(int) string { return benchTopic })
}

// benchPrivate is benchIdle where each connection has a destination of its own, as
// those of users are.
func benchPrivate(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	return idle(ctx, s, o, ", each to a destination of its own", func(i int) string { return benchTopic + strconv.Itoa(i) })
}

func idle(ctx context.Context, s *benchServer, o benchOptions, how string, destination func(i int) string) (string, float64, error) {
	before := s.rss()
	subscribers, err := s.subscribersOf(ctx, o.connections, destination)
	if err != nil {
		return "", 0, err
	}
	defer closeAll(subscribers)
	if err := pause(ctx, 8*time.Second); err != nil { // garbage of the handshakes is collected and given back
		return "", 0, err
	}
	cpu := s.cpu()
	if err := pause(ctx, 5*time.Second); err != nil {
		return "", 0, err
	}
	used, after := s.cpu()-cpu, s.rss()
	if err := allConnected(subscribers); err != nil {
		return "", 0, err
	}
	figure := float64(after-before) / 1024 / float64(o.connections)
	return fmt.Sprintf("idle: %d subscribed WebSockets%s: %.1f KB RSS each (%d KB before, %d KB with them), %.2f %% of a core",
		o.connections, how, figure, before/1024, after/1024, used.Seconds()/5*100), figure, nil
}

// benchPingpong returns the median time in microseconds.
func benchPingpong(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	at, cpu, err := pingpong(ctx, s, o)
	if err != nil {
		return "", 0, err
	}
	return fmt.Sprintf("pingpong: %d messages of %d B: p50 %.0f us, p99 %.0f us, %.1f server CPU s per million",
		o.messages, o.size, at(.5), at(.99), cpu), at(.5), nil
}

// benchPingpongCPU is benchPingpong, and returns server CPU seconds per million messages:
// times depend on how awake the machine is.
func benchPingpongCPU(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	_, cpu, err := pingpong(ctx, s, o)
	return fmt.Sprintf("pingpong: %.1f server CPU s per million", cpu), cpu, err
}

// pingpong returns the times by percentile, and server CPU seconds per million messages.
func pingpong(ctx context.Context, s *benchServer, o benchOptions) (at func(p float64) float64, cpu float64, err error) {
	publisher, subscribers, err := s.dialAll(ctx, 1)
	if err != nil {
		return nil, 0, err
	}
	defer closeAll(append(subscribers, publisher))
	took := make([]time.Duration, 0, o.messages)
	before := s.cpu()
	for i := range o.messages {
		start := time.Now()
		if err := publisher.publish(i, o.size); err != nil {
			return nil, 0, err
		}
		if err := subscribers[0].readOne(i); err != nil {
			return nil, 0, err
		}
		took = append(took, time.Since(start))
	}
	used := s.cpu() - before
	// None was repeated.
	if err := publisher.publish(o.messages, o.size); err != nil {
		return nil, 0, err
	}
	if err := subscribers[0].readOne(o.messages); err != nil {
		return nil, 0, err
	}
	return percentiles(took), used.Seconds() / float64(o.messages) * 1e6, nil
}

// percentiles sorts times, and returns how to look up one, in microseconds: .5 is the
// median, 1 the longest.
func percentiles(took []time.Duration) func(p float64) float64 {
	slices.Sort(took)
	return func(p float64) float64 { return float64(took[int(p*float64(len(took)-1))].Nanoseconds()) / 1e3 }
}
