package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// hosts are three network namespaces, as of three machines, each with a link to
// clients, which are in this process, and one to the other nodes.
type hosts struct {
	t     *testing.T
	names []string
}

const (
	clientNet  = "10.213.71."
	clusterNet = "10.213.72."
)

func hostAddress(network string, i int) string { return network + strconv.Itoa(11+i) }

func run1(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
}

// namespaces makes the hosts. It needs root and iproute2; without them the test is
// skipped, but not where TEST_NEEDS_NETNS says that it must run.
func namespaces(t *testing.T) *hosts {
	t.Helper()
	if err := exec.Command("ip", "netns", "list").Run(); err != nil || os.Geteuid() != 0 {
		if os.Getenv("TEST_NEEDS_NETNS") != "" {
			t.Fatalf("network namespaces need root and iproute2: %v", err)
		}
		t.Skip("network namespaces need root and iproute2")
	}
	h := &hosts{t: t}
	tag := strconv.Itoa(os.Getpid() % 10000)
	for k, network := range []string{clientNet, clusterNet} {
		bridge := fmt.Sprintf("sbx%s-%d", tag, k)
		run1(t, "ip link add "+bridge+" type bridge")
		t.Cleanup(func() { run1(t, "ip link del "+bridge) })
		run1(t, "ip link set "+bridge+" up")
		if k == 0 {
			run1(t, "ip addr add "+network+"1/24 dev "+bridge)
		}
	}
	var names strings.Builder
	names.WriteString("127.0.0.1 localhost\n")
	for i := range 3 {
		fmt.Fprintf(&names, "%s stompbox-nodes\n", hostAddress(clusterNet, i))
	}
	for i := range 3 {
		name := fmt.Sprintf("sbx%s-n%d", tag, i)
		h.names = append(h.names, name)
		run1(t, "ip netns add "+name)
		etc := filepath.Join("/etc/netns", name)
		require.NoError(t, os.MkdirAll(etc, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(etc, "hosts"), []byte(names.String()), 0o600))
		t.Cleanup(func() {
			run1(t, "ip netns del "+name)
			require.NoError(t, os.RemoveAll(etc))
		})
		run1(t, "ip -n "+name+" link set lo up")
		for k, network := range []string{clientNet, clusterNet} {
			link := h.link(i, k)
			run1(t, fmt.Sprintf("ip link add %s type veth peer name eth%d netns %s", link, k, name))
			run1(t, fmt.Sprintf("ip link set %s master sbx%s-%d up", link, tag, k))
			run1(t, fmt.Sprintf("ip -n %s addr add %s/24 dev eth%d", name, hostAddress(network, i), k))
			run1(t, fmt.Sprintf("ip -n %s link set eth%d up", name, k))
		}
	}
	return h
}

// link is this side of a host's cable to clients (0) or to the other nodes (1).
func (h *hosts) link(i, k int) string { return fmt.Sprintf("sbx%dl%d%d", os.Getpid()%10000, i, k) }

func (h *hosts) cut(i int)  { run1(h.t, "ip link set "+h.link(i, 1)+" down") }
func (h *hosts) mend(i int) { run1(h.t, "ip link set "+h.link(i, 1)+" up") }

// start runs a node on a host. Its peers are one name that stands for all.
func (h *hosts) start(i int, file string) *process {
	t := h.t
	t.Helper()
	address := hostAddress(clientNet, i)
	p := &process{stderr: new(test.Log), passcode: partitionPasscode, http: address + ":8080", tcp: address + ":61613"}
	args := []string{"netns", "exec", h.names[i], os.Args[0], "serve", "-c", file, "--http", p.http, "--stomp", p.tcp, "--data-dir", t.TempDir()}
	p.cmd = exec.Command("ip", args...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(os.Environ(), "TEST_AS_STOMPBOX=1",
		"STOMPBOX_CLUSTER_NODE=n"+strconv.Itoa(i), "STOMPBOX_CLUSTER_LISTEN="+hostAddress(clusterNet, i)+":6222")
	p.cmd.Stderr = p.stderr
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("node %d said:\n%s", i, p.stderr)
		}
	})
	return p
}

// partitionPasscode is that of the login guest on nodes that are not in development mode.
const partitionPasscode = "a passcode of this test"

// TestAPartitionHeals cuts one node of three off from the others, while clients
// still reach it.
func TestAPartitionHeals(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	h := namespaces(t)
	hash, err := auth.HashPasscode(partitionPasscode)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "stompbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
cluster: { peers: ["stompbox-nodes:6222"], user: route, password: a password of this test }
queues: { replicas: 3, ack_wait: 2s }
history: { replicas: 3, policies: [ { name: kept, match: "/topic/kept.**", max_age: 1h } ] }
auth: { logins: [ { login: guest, passcode_hash: "`+hash+`", permissions: { send: ["/**"], subscribe: ["/**"], serve: [] } } ] }
`), 0o600))
	nodes := make([]*process, 3)
	for i := range nodes {
		nodes[i] = h.start(i, file)
	}
	for _, p := range nodes {
		p.ready(t)
	}
	const cut = 2
	local, kept := test.DialAddress(t, nodes[cut].tcp).Connect("login", "guest", "passcode", partitionPasscode), test.DialAddress(t, nodes[cut].tcp).Connect("login", "guest", "passcode", partitionPasscode)
	local.Subscribe("s", "/topic/local")
	kept.Subscribe("s", "/topic/kept.**")
	far := test.DialAddress(t, nodes[0].tcp).Connect("login", "guest", "passcode", partitionPasscode)
	far.Subscribe("s", "/topic/local")
	local.Send(frames.SEND, "destination", "/topic/local", "before")
	local.Message("before")
	far.Message("before")
	publish := &publisher{nodes: func(i int) *process { return nodes[i%2] }, destination: "/topic/kept.a"}
	queue := &publisher{nodes: func(i int) *process { return nodes[i%2] }, destination: "/queue/q"}
	publish.publish(t.Context())
	queue.publish(t.Context())
	kept.Message("0")

	h.cut(cut)
	// The majority goes on at once, except for a leader that was on the other side.
	var majority sync.WaitGroup
	majority.Go(func() {
		for publish.next < 200 {
			publish.publish(t.Context())
			queue.publish(t.Context())
		}
	})
	require.Eventually(t, func() bool { return status(nodes[cut]) == http.StatusServiceUnavailable }, test.Patience, 100*time.Millisecond)
	local.Send(frames.SEND, "destination", "/topic/local", "receipt", "r", "alone")
	local.Message("alone")
	local.Receipt("r")
	for _, destination := range []string{"/topic/kept.a", "/queue/q"} {
		c := test.DialAddress(t, nodes[cut].tcp).Connect("login", "guest", "passcode", partitionPasscode)
		start := time.Now()
		c.Send(frames.SEND, "destination", destination, "lost")
		told := c.Error("the message store is not available")
		require.NotEmpty(t, told.Get("retry-after"))
		require.NotContains(t, told.Get("message"), "no answer within", "it knows, and does not wait")
		require.Less(t, time.Since(start), 5*time.Second)
	}
	majority.Wait()
	require.Equal(t, http.StatusOK, status(nodes[0]))

	h.mend(cut)
	nodes[cut].ready(t)
	publish.publish(t.Context())
	for i := range publish.next - 1 {
		kept.Message(strconv.Itoa(i + 1))
	}
	// What no history keeps gets across once the link between the two is back, which
	// need not be the first of the links.
	var heard atomic.Bool
	var reading sync.WaitGroup
	reading.Go(func() {
		f, err := local.Next()
		heard.Store(err == nil && string(f.Body) == "after")
	})
	require.Eventually(t, func() bool {
		far.Send(frames.SEND, "destination", "/topic/local", "after")
		return heard.Load()
	}, test.Patience, 200*time.Millisecond)
	reading.Wait()
	far.Message("after")
	consume(consumeAgain(t, nodes[cut], "/queue/q"), numbers(queue.next))
	kept.Quiet()
}

func status(p *process) int {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext}}
	answer, err := client.Get("http://" + p.http + "/readyz")
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
