package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// secret signs the tokens of all peers that check some.
const secret = "a secret for benchmarks on loopback, 32 bytes or more"

// peer is a server that is measured.
type peer struct {
	name     string
	setup    string // what the tables say of it
	protocol protocol
	events   *events
	tokens   bool // of its clients are verified
	queues   bool
	// slow is by how much fewer messages are sent to one that takes long for each. Figures
	// are of one delivery.
	slow  int
	start func(ctx context.Context, f folders, port int, dir string) (*process, error)
	// recovery is what the clients of package.json do for it; "" where there is none.
	recovery string
	version  func(f folders) string
}

// folders are where the programs are.
type folders struct {
	stompbox string // the program
	peers    string // bench/peers
	binaries string // of peers in Go
}

func token() (string, error) {
	return tokenOf("bench")
}

func tokenOf(user string) (string, error) {
	all := []string{"/topic/**", "/queue/**"}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "exp": time.Now().Add(24 * time.Hour).Unix(), "jti": user,
		"stompbox": map[string]any{"send": all, "subscribe": all},
	}).SignedString([]byte(secret))
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

var peers = []peer{
	{
		name: "stompbox", setup: "defaults; HS256 tokens, permissions, limits and metrics on; STOMP 1.2 over WebSocket",
		protocol: stomp{path: "/ws", prefix: "/topic/"}, tokens: true, events: &stompboxEvents, queues: true, slow: 1, recovery: "stompbox",
		start: startStompbox, version: stompboxVersion,
	},
	{
		name: "NATS", setup: "its own protocol over WebSocket, a shared token",
		protocol: nats{}, slow: 1, recovery: "nats", start: startNATS, version: moduleVersion("github.com/nats-io/nats-server/v2"),
	},
	{
		name: "Centrifugo", setup: "protobuf over WebSocket, HS256 tokens, memory engine",
		protocol: centrifugo{}, tokens: true, events: &centrifugoEvents, slow: 1, recovery: "centrifugo",
		start: startCentrifugo, version: moduleVersion("github.com/centrifugal/centrifugo/v6"),
	},
	{
		name: "Socket.IO", setup: "Node, ws, WebSocket alone, HS256 tokens in a middleware; one process, so one core",
		protocol: socketIO{}, tokens: true, slow: 5, recovery: "socketio",
		start: startSocketIO, version: packageVersion("socket.io"),
	},
	{
		name: "Spring", setup: "Spring Boot's simple broker in Tomcat, HS256 tokens in an interceptor, publish order preserved",
		protocol: stomp{path: "/ws", prefix: "/topic/", login: noReceipts}, tokens: true, slow: 20, recovery: "spring",
		start: startSpring, version: pomVersion("spring", "Spring Boot "),
	},
	{
		name: "Artemis", setup: "embedded, STOMP over WebSocket, multicast addresses, security off, journal without fsync",
		protocol: stomp{path: "/", prefix: "/topic/", login: "login:guest\npasscode:guest\n"}, queues: true, slow: 20, recovery: "artemis",
		start: startArtemis, version: pomVersion("artemis", ""),
	},
	{
		name: "RabbitMQ", setup: "Web STOMP plugin, guest's password",
		protocol: stomp{path: "/ws", prefix: "/topic/", login: "login:guest\npasscode:guest\n"}, queues: true, slow: 20, recovery: "rabbitmq",
		start: startRabbitMQ, version: rabbitVersion,
	},
}

// stompboxConfiguration raises limits of an address and a user, which all clients share. None
// is off, so that what counts them runs.
const stompboxConfiguration = `auth: { jwt: { secret: "` + secret + `" } }
limits: { message_rate: 10000000, address_connections: 1000000, address_connect_rate: 1000000, user_connections: 1000000 }
history: { policies: [ { name: recovered, match: "/topic/recovered.**" } ] }
log: { level: warn }
`

func startStompbox(ctx context.Context, f folders, port int, dir string) (*process, error) {
	file := filepath.Join(dir, "stompbox.yaml")
	if err := os.WriteFile(file, []byte(stompboxConfiguration), 0o600); err != nil {
		return nil, err
	}
	metrics, err := freePort()
	if err != nil {
		return nil, err
	}
	return startProcess(ctx, dir, address(port), nil, f.stompbox, "serve", "-c", file, "--http", address(port), "--metrics", address(metrics), "--data-dir", filepath.Join(dir, "data"))
}

func startNATS(ctx context.Context, f folders, port int, dir string) (*process, error) {
	native, err := freePort()
	if err != nil {
		return nil, err
	}
	configuration := fmt.Sprintf(`listen: "127.0.0.1:%d"
authorization { token: %q }
websocket { listen: "127.0.0.1:%d", no_tls: true, compression: false }
max_pending: 64MB
jetstream { store_dir: %q }
`, native, secret, port, filepath.Join(dir, "jetstream"))
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return nil, err
	}
	return startProcess(ctx, dir, address(port), nil, filepath.Join(f.binaries, "nats-server"), "-c", file)
}

func startCentrifugo(ctx context.Context, f folders, port int, dir string) (*process, error) {
	allowed := map[string]any{"allow_subscribe_for_client": true, "allow_publish_for_client": true}
	recovered := map[string]any{
		"name": "recovered", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
		"history_size": 10000, "history_ttl": "10m", "force_recovery": true,
	}
	engine := map[string]any{"type": "memory"}
	if redis := os.Getenv("PEER_REDIS"); redis != "" && os.Getenv("PEER_RECOVERY") != "" {
		engine = map[string]any{"type": "redis", "redis": map[string]any{"address": "redis://" + redis}}
	}
	configuration, err := json.Marshal(map[string]any{
		"engine":      engine,
		"http_server": map[string]any{"address": "127.0.0.1", "port": strconv.Itoa(port)},
		"client":      map[string]any{"token": map[string]any{"hmac_secret_key": secret}, "queue_max_size": 64 << 20, "recovery_max_publication_limit": 10000, "allowed_origins": []string{"*"}},
		"channel":     map[string]any{"without_namespace": allowed, "namespaces": []any{recovered}},
		"uni_sse":     map[string]any{"enabled": true},
		"prometheus":  map[string]any{"enabled": true},
		"usage_stats": map[string]any{"disabled": true},
		"log":         map[string]any{"level": "warn"},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "centrifugo.json")
	if err := os.WriteFile(file, configuration, 0o600); err != nil {
		return nil, err
	}
	return startProcess(ctx, dir, address(port), nil, filepath.Join(f.binaries, "centrifugo"), "-c", file)
}

func startSocketIO(ctx context.Context, f folders, port int, dir string) (*process, error) {
	return startProcess(ctx, dir, address(port), []string{"PEER_SECRET=" + secret, "NODE_ENV=production"}, "node", filepath.Join(f.peers, "js", "socketio.js"), strconv.Itoa(port))
}

func startSpring(ctx context.Context, f folders, port int, dir string) (*process, error) {
	return startProcess(ctx, dir, address(port), []string{"PEER_SECRET=" + secret}, "java", "-Xmx3g", "-jar", filepath.Join(f.peers, "spring", "target", "peer.jar"),
		"--server.port="+strconv.Itoa(port), "--server.address=127.0.0.1", "--server.tomcat.max-connections=20000", "--logging.level.root=WARN")
}

func startArtemis(ctx context.Context, f folders, port int, dir string) (*process, error) {
	target := filepath.Join(f.peers, "artemis", "target")
	return startProcess(ctx, dir, address(port), nil, "java", "-Xmx3g", "-cp", filepath.Join(target, "lib", "*")+":"+filepath.Join(target, "peer.jar"), "peer.Peer", strconv.Itoa(port), filepath.Join(dir, "data"))
}

// rabbitProgram is where Debian has the server, without the wrapper that changes the user.
const rabbitProgram = "/usr/lib/rabbitmq/bin/rabbitmq-server"

func startRabbitMQ(ctx context.Context, _ folders, port int, dir string) (*process, error) {
	ports := make([]int, 4)
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	configuration := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nstomp.listeners.tcp.1 = 127.0.0.1:%d\nweb_stomp.tcp.ip = 127.0.0.1\nweb_stomp.tcp.port = %d\nlog.console = false\nlog.file.level = warning\nvm_memory_high_watermark.absolute = 6GB\n", ports[0], ports[1], port)
	if err := os.WriteFile(filepath.Join(dir, "rabbitmq.conf"), []byte(configuration), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "enabled_plugins"), []byte("[rabbitmq_web_stomp].\n"), 0o600); err != nil {
		return nil, err
	}
	env := []string{
		"HOME=" + dir, "RABBITMQ_NODENAME=bench" + strconv.Itoa(port) + "@localhost", "RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "mnesia"), "RABBITMQ_LOG_BASE=" + filepath.Join(dir, "logs"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "enabled_plugins"),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(ports[2]), "ERL_EPMD_PORT=" + strconv.Itoa(ports[3]), "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_CONF_ENV_FILE=/dev/null",
	}
	p, err := startProcess(ctx, dir, address(port), env, rabbitProgram)
	if err == nil {
		p.after = func() { // the port mapper is a daemon of its own
			_ = exec.Command("epmd", "-port", strconv.Itoa(ports[3]), "-kill").Run() //nolint:gosec // a number
		}
	}
	return p, err
}

// stompboxVersion asks the program that is measured.
func stompboxVersion(f folders) string {
	text, err := exec.Command(f.stompbox, "version", "--json").Output() //nolint:gosec // the program of a flag
	if err != nil {
		return ""
	}
	return buildName(text)
}

// buildName names a build by what `stompbox version --json` says: its version, if it has one,
// its commit, and whether it has changes that are in no commit.
func buildName(text []byte) string {
	var b struct {
		Version, Commit string
		Modified        bool
	}
	if json.Unmarshal(text, &b) != nil || b.Version == "" {
		return ""
	}
	// Go makes a version of the commit where there is no tag, and adds +dirty.
	name := strings.TrimSuffix(b.Version, "+dirty")
	switch {
	case b.Commit == "":
		return name + ", commit unknown"
	case !strings.HasPrefix(name, "v") || strings.Contains(name, b.Commit[:min(12, len(b.Commit))]):
		name = "commit " + b.Commit[:min(7, len(b.Commit))]
	default:
		name += ", commit " + b.Commit[:min(7, len(b.Commit))]
	}
	if b.Modified {
		name += ", with changes that are not committed"
	}
	return name
}

// moduleVersion reads a version from the go.mod of the peers.
func moduleVersion(module string) func(folders) string {
	return func(f folders) string {
		return after(filepath.Join(f.peers, "go.mod"), module+" v", "\n")
	}
}

func packageVersion(name string) func(folders) string {
	return func(f folders) string {
		return after(filepath.Join(f.peers, "js", "node_modules", name, "package.json"), `"version": "`, `"`)
	}
}

func pomVersion(dir, before string) func(folders) string {
	return func(f folders) string {
		tag := "<artemis.version>"
		if dir == "spring" {
			tag = "<artifactId>spring-boot-starter-parent</artifactId>\n    <version>"
		}
		return before + after(filepath.Join(f.peers, dir, "pom.xml"), tag, "<")
	}
}

func rabbitVersion(folders) string {
	all, _ := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*")
	if len(all) == 0 {
		return ""
	}
	return strings.TrimPrefix(filepath.Base(all[0]), "rabbitmq_server-")
}

// after returns the text of a file between two others.
func after(file, before, end string) string {
	text, _ := os.ReadFile(file)
	_, value, _ := strings.Cut(string(text), before)
	value, _, _ = strings.Cut(value, end)
	fields := strings.Fields(value)
	if len(fields) == 0 {
		return ""
	}
	return fields[0]
}
