//go:build linux

// Package packaging tests the packages that build.sh makes.
package packaging

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a state may take on a slow machine.
const patience = 90 * time.Second

// TestDebOnASystemOfItsOwn boots systemd next to the machine's own, on an overlay of its
// root, installs the package of $TEST_DEB there, and runs TestInsideTheBox in it. It needs
// root, systemd and overlayfs.
func TestDebOnASystemOfItsOwn(t *testing.T) {
	deb := os.Getenv("TEST_DEB")
	if deb == "" {
		t.Skip("TEST_DEB names no package; make package-test sets it")
	}
	require.Zero(t, os.Getuid(), "mounts and namespaces need root")
	dir := t.TempDir()
	copyFile(t, deb, filepath.Join(dir, "stompbox.deb"))
	copyFile(t, os.Args[0], filepath.Join(dir, "test"))
	copyFile(t, "../../docs/operations.md", filepath.Join(dir, "operations.md"))
	// For the page, which speaks of dist/.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "dist"), 0o755))
	copyFile(t, deb, filepath.Join(dir, "dist", filepath.Base(deb)))
	copyFile(t, "../../docs/install.md", filepath.Join(dir, "install.md"))
	script, err := filepath.Abs("box.sh")
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	box := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child",
		script, dir, "TEST_IN_BOX=1 /box/test -test.v -test.run=^TestInsideTheBox$ >/box/log 2>&1 && touch /box/passed")
	console := new(bytes.Buffer)
	box.Stdout, box.Stderr, box.WaitDelay = console, console, 10*time.Second
	failure := box.Run() // poweroff ends it by a signal, so that only /box tells
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	require.FileExists(t, filepath.Join(dir, "passed"), "%v\n%s\n%s", failure, console, log)
	t.Logf("%s", log)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, 0o755))
}

// TestInsideTheBox is the life of the package on a machine, in its order.
func TestInsideTheBox(t *testing.T) {
	if os.Getenv("TEST_IN_BOX") == "" {
		t.Skip("only the system that TestDebOnASystemOfItsOwn boots has this to do")
	}
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"it installs, and starts nothing", installs},
		{"the unit is sound and hardened", unitIsSound},
		{"it serves as it was installed", serves},
		{"a reload changes it and keeps it running", reloads},
		{"systemd restarts it when it hangs", watchdog},
		{"an upgrade keeps what the operator changed", upgrade},
		{"the runbook does what it says", runbook},
		{"a removal keeps the data, and a purge does not", removal},
		{"the commands of docs/install.md run as they are written", page},
	} {
		if !t.Run(step.name, step.run) {
			return
		}
	}
}

func installs(t *testing.T) {
	require.Contains(t, run(t, "dpkg", "-i", "/box/stompbox.deb"), "systemctl enable --now stompbox")
	require.Equal(t, "inactive", property(t, "ActiveState"))
	for path, want := range map[string]string{
		"/etc/stompbox": "750 root stompbox", "/etc/stompbox/stompbox.yaml": "640 root stompbox", "/etc/stompbox/jwt.secret": "640 root stompbox",
		"/var/lib/stompbox": "700 stompbox stompbox", "/usr/bin/stompbox": "755 root root", "/usr/share/man/man1/stompbox-serve.1.gz": "644 root root",
	} {
		require.Equal(t, want, run(t, "stat", "-c", "%a %U %G", path), path)
	}
	require.Regexp(t, `^stompbox v\d`, run(t, "stompbox", "version"))
	require.Equal(t, "the configuration is fine", run(t, "stompbox", "config", "check", "-c", "/etc/stompbox/stompbox.yaml"))
	require.Contains(t, run(t, "runuser", "-u", "stompbox", "--", "stompbox", "doctor", "-c", "/etc/stompbox/stompbox.yaml"), " 0 failures")
}

func unitIsSound(t *testing.T) {
	require.NotContains(t, run(t, "systemd-analyze", "verify", "--man=no", "stompbox.service"), "stompbox")
	// Of 100, where 0 is the least exposed.
	run(t, "systemd-analyze", "security", "--offline=true", "--threshold=20", "/usr/lib/systemd/system/stompbox.service")
}

func serves(t *testing.T) {
	run(t, "systemctl", "enable", "--now", "stompbox")
	require.Equal(t, "active", property(t, "ActiveState"), "systemctl start returns once READY=1 came")
	require.Equal(t, "serving", property(t, "StatusText"))
	require.Equal(t, "ready", run(t, "stompbox", "health", "--ready", "-c", "/etc/stompbox/stompbox.yaml"))
	require.Equal(t, "700 stompbox stompbox", run(t, "stat", "-c", "%a %U %G", "/var/lib/stompbox"))
	token := run(t, "stompbox", "token", "-c", "/etc/stompbox/stompbox.yaml", "--user", "alice", "--send", "/queue/**")
	run(t, "stompbox", "send", "--token", token, "/queue/orders", "stored") // returns with the RECEIPT

	status, err := os.ReadFile(filepath.Join("/proc", property(t, "MainPID"), "status"))
	require.NoError(t, err)
	require.Regexp(t, `NoNewPrivs:\s+1`, string(status))
	require.Regexp(t, `CapEff:\s+0000000000000400`, string(status), "CAP_NET_BIND_SERVICE alone")
	require.NotRegexp(t, regexp.MustCompile(`(?m)^Uid:\s+0\s`), string(status))
}

func reloads(t *testing.T) {
	const config = "/etc/stompbox/stompbox.yaml"
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	pid := property(t, "MainPID")
	require.NoError(t, os.WriteFile(config, append(text, []byte("\nlimits: { headers: 40 }\n")...), 0o640))
	require.Equal(t, "reloaded; changed: limits.headers", run(t, "stompbox", "reload", "-c", config))
	require.NoError(t, os.WriteFile(config, append(text, []byte("\nlimits: { headers: -1 }\n")...), 0o640))
	run(t, "systemctl", "reload", "stompbox")
	require.Eventually(t, func() bool { return strings.Contains(property(t, "StatusText"), "the last reload failed") }, patience, 100*time.Millisecond)
	require.NoError(t, os.WriteFile(config, text, 0o640))
	run(t, "systemctl", "reload", "stompbox")
	require.Eventually(t, func() bool { return property(t, "StatusText") == "serving" }, patience, 100*time.Millisecond)
	require.Equal(t, pid, property(t, "MainPID"))
}

func watchdog(t *testing.T) {
	drop := "/etc/systemd/system/stompbox.service.d/watchdog.conf"
	require.NoError(t, os.MkdirAll(filepath.Dir(drop), 0o755))
	require.NoError(t, os.WriteFile(drop, []byte("[Service]\nWatchdogSec=5s\n"), 0o644))
	run(t, "systemctl", "daemon-reload")
	run(t, "systemctl", "restart", "stompbox")
	before, pid := property(t, "NRestarts"), property(t, "MainPID")
	run(t, "kill", "-STOP", pid)
	require.Eventually(t, func() bool {
		return property(t, "NRestarts") != before && property(t, "ActiveState") == "active" && property(t, "MainPID") != pid
	}, patience, 100*time.Millisecond)
	require.NoError(t, os.Remove(drop))
	run(t, "systemctl", "daemon-reload")
	run(t, "systemctl", "restart", "stompbox")
}

func upgrade(t *testing.T) {
	const config = "/etc/stompbox/stompbox.yaml"
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	changed := append(text, []byte("log: { level: debug }\n")...)
	require.NoError(t, os.WriteFile(config, changed, 0o640))
	secret, err := os.ReadFile("/etc/stompbox/jwt.secret")
	require.NoError(t, err)
	pid := property(t, "MainPID")

	require.NotContains(t, run(t, "dpkg", "-i", "/box/stompbox.deb"), "enable --now")
	require.Equal(t, "active", property(t, "ActiveState"))
	require.NotEqual(t, pid, property(t, "MainPID"), "the service runs the new binary")
	text, err = os.ReadFile(config)
	require.NoError(t, err)
	require.Equal(t, string(changed), string(text))
	after, err := os.ReadFile("/etc/stompbox/jwt.secret")
	require.NoError(t, err)
	require.Equal(t, secret, after, "tokens stay valid")
	token := run(t, "stompbox", "token", "-c", config, "--user", "alice", "--subscribe", "/queue/**")
	require.Contains(t, run(t, "stompbox", "subscribe", "--token", token, "--count", "1", "/queue/orders"), "stored")

	// A version that refuses the configuration does not take the place of the one that runs.
	pid = property(t, "MainPID")
	require.NoError(t, os.WriteFile(config, append(changed, []byte("limits: { headers: -1 }\n")...), 0o640))
	require.Regexp(t, `(?s)limits.headers.*was not restarted`, run(t, "dpkg", "-i", "/box/stompbox.deb"))
	require.Equal(t, "active", property(t, "ActiveState"))
	require.Equal(t, pid, property(t, "MainPID"))
	require.NoError(t, os.WriteFile(config, changed, 0o640))
}

func removal(t *testing.T) {
	run(t, "systemctl", "stop", "stompbox")
	require.Equal(t, "success", property(t, "Result"), "SIGTERM drains, and exits with 0")
	run(t, "systemctl", "start", "stompbox")
	run(t, "dpkg", "--remove", "stompbox")
	require.Equal(t, "inactive", property(t, "ActiveState"))
	require.NoFileExists(t, "/usr/bin/stompbox")
	require.DirExists(t, "/var/lib/stompbox/nats")
	require.FileExists(t, "/etc/stompbox/jwt.secret")
	run(t, "dpkg", "--purge", "stompbox")
	require.NoDirExists(t, "/var/lib/stompbox")
	require.NoDirExists(t, "/etc/stompbox")
	require.Error(t, exec.Command("getent", "passwd", "stompbox").Run())
}

// page runs the blocks of docs/install.md that name this test, one after the other.
func page(t *testing.T) {
	text, err := os.ReadFile("/box/install.md")
	require.NoError(t, err)
	if _, err := exec.LookPath("sudo"); err != nil {
		const sudo = "#!/bin/sh\nif [ \"$1\" = -u ]; then user=$2; shift 2; exec runuser -u \"$user\" -- \"$@\"; fi\nexec \"$@\"\n"
		require.NoError(t, os.WriteFile("/usr/local/bin/sudo", []byte(sudo), 0o755))
	}
	blocks := regexp.MustCompile("(?s)<!-- test: TestInsideTheBox -->\n```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	require.Len(t, blocks, 6)
	for _, block := range blocks {
		shell := exec.Command("bash", "-e", "-c", block[1])
		shell.Dir = "/box"
		out, err := shell.CombinedOutput()
		require.NoError(t, err, "%s\n%s", block[1], out)
	}
	require.NoDirExists(t, "/etc/stompbox")
}

// property is what systemctl show says of the service.
func property(t *testing.T, name string) string {
	t.Helper()
	return run(t, "systemctl", "show", "--property", name, "--value", "stompbox")
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v\n%s", name, args, out)
	return strings.TrimSpace(string(out))
}
