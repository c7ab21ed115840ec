package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/test/local"
)

// secret signs the tokens of all clients.
const secret = "a secret of a run of abuse, with more than 32 bytes"

// configuration leaves every limit at its default.
const configuration = `
auth: { jwt: { secret: %q }, logins: [ { login: relay, passcode_hash: %q, permissions: { subscribe: ["/topic/**"] } } ] }
http: { allowed_origins: [ "https://app.example" ], compression: true }
history:
  policies: [ { name: kept, match: "/topic/kept.**", max_bytes: 64MiB } ]
presence: { destinations: [ "/topic/watched.*" ] }
`

// node is the process under attack.
type node struct {
	process     *exec.Cmd
	http, stomp string
	key         auth.Key
}

func startNode(ctx context.Context, binary, dir string) (*node, error) {
	n := new(node)
	var err error
	for _, address := range []*string{&n.http, &n.stomp} {
		if *address, err = local.Address(); err != nil {
			return nil, err
		}
	}
	if n.key, err = auth.NewSecretKey("", "HS256", []byte(secret)); err != nil {
		return nil, err
	}
	hash, err := auth.HashPasscode("the relay's own passcode")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "stompbox.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, secret, hash), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "node.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	n.process = exec.Command(binary, "serve", "-c", file, "--http", n.http, "--stomp", n.stomp, "--data-dir", filepath.Join(dir, "data"))
	n.process.Dir, n.process.Stdout, n.process.Stderr = dir, log, log
	if err := n.process.Start(); err != nil {
		return nil, err
	}
	for range 300 {
		answer, err := http.Get("http://" + n.http + "/readyz")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return n, nil
			}
		}
		if !sleep(ctx, 100*time.Millisecond) {
			break
		}
	}
	_ = n.stop()
	text, _ := os.ReadFile(filepath.Join(dir, "node.log"))
	return nil, fmt.Errorf("the node does not become ready: %s", text)
}

func (n *node) stop() error {
	_ = n.process.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(time.Minute, func() { _ = n.process.Process.Kill() })
	defer late.Stop()
	if err := n.process.Wait(); err != nil {
		return fmt.Errorf("the node did not stop well: %w", err)
	}
	return nil
}

func (n *node) token(user string, grants auth.Grants) (string, error) {
	return auth.Sign(n.key, auth.Claims{Subject: user, TTL: 24 * time.Hour, Grants: grants})
}

// memory is what the process has of the machine's, in bytes.
func (n *node) memory() (int64, error) {
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", n.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	defer func() { _ = status.Close() }()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("the process %d has no VmRSS", n.process.Process.Pid)
}

// watch waits, and returns the most memory that the process had meanwhile.
func (n *node) watch(ctx context.Context, d time.Duration) (peak int64) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if now, err := n.memory(); err == nil {
			peak = max(peak, now)
		}
		if !sleep(ctx, 100*time.Millisecond) {
			break
		}
	}
	return peak
}

// attacker is a process that carries out one attack.
type attacker struct {
	process *exec.Cmd
	output  strings.Builder
}

// attacker starts one that gives way to all other processes.
func (n *node) attacker(ctx context.Context, attack string) (*attacker, error) {
	token, err := n.token("mallory", auth.AllGrants())
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	a := new(attacker)
	a.process = exec.CommandContext(ctx, "nice", "-n", "19", self, "-attack", attack, "-target-http", n.http, "-target-stomp", n.stomp, "-target-token", token)
	a.process.Stderr, a.process.Stdout = &a.output, &a.output
	return a, a.process.Start()
}

// stop ends it. An attack that could not begin is a fault of this program.
func (a *attacker) stop() error {
	_ = a.process.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(20*time.Second, func() { _ = a.process.Process.Kill() })
	defer late.Stop()
	if err := a.process.Wait(); err != nil {
		return fmt.Errorf("the attack: %w: %s", err, a.output.String())
	}
	return nil
}
