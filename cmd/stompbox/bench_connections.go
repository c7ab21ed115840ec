package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/internal/bench"
)

// connectionsOptions are what `bench connections` is asked.
type connectionsOptions struct {
	sweep
	nodes int
}

func newBenchConnections() *cobra.Command {
	o := connectionsOptions{sweep: sweep{numbers: []int{100, 300, 1000, 3000, 10_000, 17_000}, rounds: 1, idle: benchBeat}, nodes: 1}
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "The cost of a real WebSocket, for many of them on one node or in a cluster",
		Long: "Opens real WebSockets over loopback, from as many processes as there are nodes, with heart-beats both ways\n" +
			"and a subscription to a common topic. A node accepts as many as its limit of open files permits. Limits that\n" +
			"count connections and messages of an address or a user are raised far above that.",
		Args: cobra.NoArgs,
	}
	o.addFlags(cmd.Flags(), "connections", "over all nodes")
	cmd.Flags().IntVar(&o.nodes, "nodes", o.nodes, "nodes; several are joined by routes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runBenchConnections(cmd, o) }
	return cmd
}

// connectionsLimits raises limits of an address and a user, which all clients share. None is
// off, so that what counts them runs.
const connectionsLimits = "limits: { address_connections: 1000000, address_connect_rate: 1000000, user_connections: 1000000, message_rate: 10000000 }\n"

func runBenchConnections(cmd *cobra.Command, o connectionsOptions) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%d node(s)\n", o.nodes)
	fmt.Fprintln(out, "connections  connect  connects  memory  kernel  delivery  publish   idle us/s  reconnect  all back")
	fmt.Fprintln(out, "              us CPU      /s     KB RSS      KB   us CPU   to all         CPU     us CPU         s")
	measure := func(n int) (r bench.Connections, err error) {
		err = oneRun(cmd.Context(), benchOptions{}, 10*time.Minute, func(ctx context.Context, run benchRun) error {
			r, err = measureConnections(ctx, run, n, o)
			return err
		})
		return r, err
	}
	printRow := func(r bench.Connections) {
		fmt.Fprintf(out, "%11d %8.1f %9.0f %7.1f %7.1f %9.2f %6.1fms %11.2f %10.1f %9.1f\n",
			r.Connections, r.ConnectCPU, r.ConnectsPS, r.RSS, r.Kernel, r.DeliveryCPU, r.PublishMS, r.IdleCPU, r.ReconnectCPU, r.ReconnectSecond)
	}
	return runSweep(o.sweep, "connections", measure, report[bench.Connections]{bench.MedianConnections, printRow, bench.ConnectionsCharts})
}

// nodes are the servers under measurement, with their clients.
type nodes struct {
	servers []*benchServer
	swarms  []*swarm
	total   int
}

func (n *nodes) stop() {
	stopSwarms(n.swarms)
	for _, s := range n.servers {
		s.stop()
	}
}

func (n *nodes) cpu() (sum time.Duration) {
	for _, s := range n.servers {
		sum += s.cpu()
	}
	return sum
}

func (n *nodes) rss() (sum int64) {
	for _, s := range n.servers {
		sum += s.rss()
	}
	return sum
}

// order has all clients do something, and returns the CPU time that it took the nodes.
func (n *nodes) order(text string) (cpu, took time.Duration, err error) {
	before, start := n.cpu(), time.Now()
	if err = order(n.swarms, text); err == nil {
		err = obeyed(n.swarms)
	}
	return n.cpu() - before, time.Since(start), err
}

func measureConnections(ctx context.Context, run benchRun, total int, o connectionsOptions) (r bench.Connections, err error) {
	n := nodes{total: total}
	defer n.stop()
	if n.servers, err = startBenchNodes(ctx, run, o.nodes); err != nil {
		return r, err
	}
	for i, s := range n.servers {
		share := total/o.nodes + min(1, (total%o.nodes)/(i+1))
		w, err := s.startSwarm(ctx, share)
		if err != nil {
			return r, err
		}
		n.swarms = append(n.swarms, w)
	}
	r.Connections = total
	if err := n.connect(ctx, &r); err != nil {
		return r, err
	}
	publisher, err := n.servers[0].dial(ctx)
	if err != nil {
		return r, err
	}
	defer publisher.close()
	sent, err := n.publish(publisher, &r)
	if err != nil {
		return r, err
	}
	before := n.cpu()
	if err := pause(ctx, o.idle); err != nil {
		return r, err
	}
	r.IdleCPU = bench.PerUnit(n.cpu()-before, total) / o.idle.Seconds()
	// One message more shows that all are still connected, and is the next one.
	if err := n.sendToAll(publisher, sent, 1); err != nil {
		return r, err
	}
	if err := n.reconnect(&r, sent+1); err != nil {
		return r, err
	}
	return r, n.sendToAll(publisher, sent+1, 1)
}

func (n *nodes) connect(ctx context.Context, r *bench.Connections) error {
	rss, kernel := n.rss(), bench.SocketMemory()
	cpu, took, err := n.order(orderConnect + " 0")
	if err != nil {
		return err
	}
	r.ConnectCPU, r.ConnectsPS = bench.PerUnit(cpu, n.total), float64(n.total)/took.Seconds()
	if err := pause(ctx, 8*time.Second); err != nil { // garbage of the handshakes is collected and given back
		return err
	}
	r.RSS = float64(n.rss()-rss) / 1024 / float64(n.total)
	r.Kernel = float64(bench.SocketMemory()-kernel) / 1024 / float64(n.total)
	return nil
}

// publish sends one message at a time to all, and returns how many.
func (n *nodes) publish(publisher *benchClient, r *bench.Connections) (int, error) {
	messages := min(max(500_000/n.total, 10), 500)
	before, start := n.cpu(), time.Now()
	if err := n.sendToAll(publisher, 0, messages); err != nil {
		return 0, err
	}
	took := time.Since(start)
	r.DeliveryCPU = bench.PerUnit(n.cpu()-before, messages*n.total)
	r.PublishMS = took.Seconds() * 1e3 / float64(messages)
	return messages, nil
}

// sendToAll sends messages, of which first is the number of the first one, each when all have the
// one before.
func (n *nodes) sendToAll(publisher *benchClient, first, messages int) error {
	for i := range messages {
		if err := publisher.publish(first+i, 128); err != nil {
			return err
		}
		if _, _, err := n.order(orderReceive); err != nil {
			return err
		}
	}
	return nil
}

func (n *nodes) reconnect(r *bench.Connections, sent int) error {
	cut, ending, err := n.order(orderCut)
	if err != nil {
		return err
	}
	again, took, err := n.order(fmt.Sprint(orderConnect, " ", sent))
	r.ReconnectCPU, r.ReconnectSecond = bench.PerUnit(cut+again, n.total), (ending + took).Seconds()
	return err
}

// startBenchNodes starts one broker, or several that are joined by routes, and returns when
// they know each other. Limits of addresses are off: all clients have one.
func startBenchNodes(ctx context.Context, run benchRun, n int) (all []*benchServer, err error) {
	defer func() {
		if err != nil {
			for _, s := range all {
				s.stop()
			}
			all = nil
		}
	}()
	routes := make([]string, n)
	for i := range routes {
		if routes[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	folder, err := bench.NewDir()
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Remove() }()
	for i := range n {
		text := connectionsLimits
		if n > 1 {
			text += fmt.Sprintf("cluster: { node: n%d, listen: %q, peers: [%s] }\n", i, routes[i], strings.Join(routes, ", "))
		}
		file := filepath.Join(folder.Path, fmt.Sprintf("n%d.yaml", i))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return all, err
		}
		args := []string{"-c", file}
		if n > 1 {
			args = append(args, "--dev")
		}
		s, err := startBenchServer(ctx, run, args...)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}
