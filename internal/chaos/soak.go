package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test/local"
)

const (
	// soakConfiguration is added to that of a chaos run. Nothing is kept for long, so that
	// what grows is a leak.
	soakConfiguration = `
nats: { user: soak, password: %q }
data: { max_bytes: 8GiB }
`
	soakPassword = "a password of a soak"
	// soakSamples is how many samples are taken at least.
	soakSamples = 12
	// sweepTime is after how long the consumers of queues that were left are gone.
	sweepTime = 3 * time.Minute
	// maxLeftConsumers is how many may be there then: those of queues that are in use.
	maxLeftConsumers = 12
)

// sample is what a node uses at one time.
type sample map[string]float64

// The figures of a sample, with how much the last third of a soak may be above the third
// before it, plus a tenth.
var soakFigures = []struct {
	name, label string
	slack       float64
}{
	{"go_goroutines", "goroutines", 100},
	{"process_open_fds", "descriptors", 60},
	{"process_resident_memory_bytes", "RSS", 24 << 20},
	{consumersFigure, "consumers", 15},
}

const consumersFigure = "consumers"

// churn has clients come and go for some time, and returns an error where what the nodes
// use is not flat.
func (r *run) soak(ctx context.Context, duration time.Duration) error {
	if err := r.awaitReady(ctx, startTime); err != nil {
		return err
	}
	loading, end := context.WithCancel(ctx)
	defer end()
	r.loading, r.settling, r.reading = loading, loading, loading
	for i := range 6 {
		c := r.client("churn "+strconv.Itoa(i), []string{"alice", "bob", "sender"}[i%3])
		r.senders.Go(func() { churn(c) })
	}
	every := min(time.Minute, duration/soakSamples)
	var samples [nodeCount][]sample
	for began := time.Now(); time.Since(began) < duration; {
		if !sleep(ctx, every) {
			return ctx.Err()
		}
		if err := r.sampleAll(ctx, &samples); err != nil {
			return err
		}
	}
	end()
	r.senders.Wait()
	r.say("no client is left; consumers that were left have %s to go", sweepTime)
	sleep(ctx, sweepTime)
	if err := r.sampleAll(ctx, &samples); err != nil {
		return err
	}
	err := judge(&samples)
	return errors.Join(err, r.cluster.stop())
}

func (r *run) sampleAll(ctx context.Context, samples *[nodeCount][]sample) error {
	consumers, err := r.cluster.consumers(ctx)
	if err != nil {
		return err
	}
	for i, n := range r.cluster.nodes {
		s, err := scrape(ctx, n.metrics)
		if err != nil {
			return fmt.Errorf("n%d: %w", i, err)
		}
		s[consumersFigure] = consumers
		samples[i] = append(samples[i], s)
		r.say("n%d: %.0f goroutines, %.0f descriptors, %.0f MiB, %.0f consumers, %.0f sessions", i,
			s["go_goroutines"], s["process_open_fds"], s["process_resident_memory_bytes"]/(1<<20), consumers, s["stompbox_sessions"])
	}
	return nil
}

// scrape reads the metrics of a node that have no labels but its name.
func scrape(ctx context.Context, address string) (sample, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	s := make(sample)
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		name, _, _ = strings.Cut(name, "{")
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil {
			s[name] = number
		}
	}
	if len(s) == 0 {
		return nil, fmt.Errorf("no metrics: %s", answer.Status)
	}
	return s, nil
}

// consumers counts those of JetStream.
func (c *cluster) consumers(ctx context.Context) (float64, error) {
	conn, err := nats.Connect("nats://"+c.nodes[0].nats, nats.UserInfo("soak", soakPassword))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return 0, err
	}
	info, err := js.AccountInfo(ctx)
	if err != nil {
		return 0, err
	}
	return float64(info.Consumers), nil
}

// judge compares the last third of the samples with the one before it.
func judge(samples *[nodeCount][]sample) (err error) {
	for i, all := range samples {
		left := all[len(all)-1][consumersFigure]
		if left > maxLeftConsumers && i == 0 {
			err = errors.Join(err, fmt.Errorf("%.0f consumers are left %s after the last client", left, sweepTime))
		}
		all = all[:len(all)-1]
		third := len(all) / 3
		for _, f := range soakFigures {
			before, after := median(all[third:2*third], f.name), median(all[2*third:], f.name)
			if after > before*1.1+f.slack {
				err = errors.Join(err, fmt.Errorf("n%d: %s grew from %.0f to %.0f", i, f.label, before, after))
			}
		}
	}
	return err
}

func median(samples []sample, name string) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s[name]
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// listenForSoak gives the nodes what a soak reads: metrics, and NATS.
func (c *cluster) listenForSoak() error {
	for _, n := range c.nodes {
		for _, address := range []*string{&n.metrics, &n.nats} {
			var err error
			if *address, err = local.Address(); err != nil {
				return err
			}
			if _, _, err := net.SplitHostPort(*address); err != nil {
				return err
			}
		}
	}
	return nil
}

// churn connects, uses some of everything under names of its own, and leaves, again and
// again.
func churn(c *client) {
	for n := 0; c.loading.Err() == nil; n++ {
		c.webSocket = c.chance(70)
		l := c.elsewhere(c.loading)
		if l == nil {
			return
		}
		_ = useAll(c, l, strconv.Itoa(n)+"-"+strings.ReplaceAll(c.name, " ", "-")) // what fails is for chaos to find
		if c.chance(50) {
			_ = l.send(frames.DISCONNECT, "receipt", "bye")
			_ = l.receipt("bye", nil)
		}
		l.close()
		if n%10 == 0 {
			ctx, cancel := context.WithTimeout(c.loading, 2*time.Second)
			if stream, err := c.openStream(ctx, c.random.IntN(nodeCount), "/topic/churn.*", ""); err == nil {
				_, _ = io.Copy(io.Discard, stream)
				_ = stream.Close()
			}
			cancel()
		}
	}
}

// useAll subscribes to names that nothing else uses, sends to them, and reads what comes.
// Some of it is left as it is when the connection ends.
func useAll(c *client, l *link, name string) error {
	subscriptions := [][]string{
		{"destination", "/queue/churn." + name, "ack", "client-individual"},
		{"destination", "/queue/churn.shared." + strconv.Itoa(c.random.IntN(4)), "ack", "client"},
		{"destination", "/topic/short." + name, "replay-last", "5"},
		{"destination", "/topic/churn." + name},
		{"destination", "/topic/churn.**"},
		{"destination", "/user/queue/churn"},
	}
	if c.chance(20) {
		subscriptions = append(subscriptions, []string{"destination", "/topic/short.durable", "durable", "true", "auto-delete", "false", "ack", "client"})
	}
	for i, pairs := range subscriptions {
		id := strconv.Itoa(i)
		if err := l.send(frames.SUBSCRIBE, append(pairs, "id", id, "receipt", id)...); err != nil {
			return err
		}
	}
	var acks []string
	take := func(f *frames.Frame) {
		if ack := f.Get("ack"); ack != "" {
			acks = append(acks, ack)
		}
	}
	for waiting := len(subscriptions); waiting > 0; { // those of histories come where the past ends
		f, err := l.next()
		switch {
		case err != nil:
			return err
		case f.Command == frames.ERROR:
			return errorFrame(f)
		case f.Command == frames.RECEIPT:
			waiting--
		default:
			take(f)
		}
	}
	for i, dest := range []string{"/queue/churn." + name, subscriptions[1][1], "/topic/short." + name, "/topic/churn." + name, "/user/" + c.user + "/queue/churn", "/app/nothing"} {
		id := "sent " + strconv.Itoa(i)
		if err := l.send(frames.SEND, "destination", dest, "receipt", id, "dedup-id", name+dest, "reply-to", "/temp-queue/t", name); err != nil {
			return err
		}
		if err := l.receipt(id, take); err != nil {
			return err
		}
	}
	sleep(c.loading, c.upTo(time.Second))
	if err := l.send(frames.BEGIN, "transaction", "t", "receipt", "read"); err != nil {
		return err
	}
	if err := l.receipt("read", take); err != nil {
		return err
	}
	for i, ack := range acks {
		if c.chance(10) {
			continue // it goes back
		}
		if err := l.send(frames.ACK, "id", ack, "receipt", "ack "+strconv.Itoa(i)); err != nil {
			return err
		}
		if err := l.receipt("ack "+strconv.Itoa(i), nil); err != nil {
			return err
		}
	}
	if len(subscriptions) == 7 {
		return l.send(frames.UNSUBSCRIBE, "id", "6", "durable", "true")
	}
	return nil
}
