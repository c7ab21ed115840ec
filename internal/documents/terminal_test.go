package documents

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test"
)

// machine is a network of its own with a checkout and a home, in which blocks run as they
// are written, on the ports that they name.
type machine struct {
	t         *testing.T
	namespace string
	checkout  string
	installed string // where an installed program is, on the PATH
	env       []string
	terminals map[string]*terminal
}

// newMachine needs root and iproute2; without them the test is skipped, but not where
// TEST_NEEDS_NETNS says that it must run.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if err := exec.Command("ip", "netns", "list").Run(); err != nil || os.Geteuid() != 0 {
		if os.Getenv("TEST_NEEDS_NETNS") != "" {
			t.Fatalf("network namespaces need root and iproute2: %v", err)
		}
		t.Skip("network namespaces need root and iproute2")
	}
	m := &machine{t: t, namespace: "sbxdocs" + strconv.Itoa(os.Getpid()), checkout: t.TempDir(), installed: filepath.Join(t.TempDir(), "bin"), terminals: make(map[string]*terminal)}
	m.command("ip", "netns", "add", m.namespace)
	t.Cleanup(func() { m.command("ip", "netns", "del", m.namespace) })
	m.command("ip", "netns", "exec", m.namespace, "ip", "link", "set", "lo", "up")
	copyCheckout(t, m.checkout)
	m.env = []string{"PATH=" + m.installed + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GOFLAGS=-buildvcs=false", "GOPROXY=off", "GOTOOLCHAIN=local"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOROOT"} {
		value, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		m.env = append(m.env, name+"="+strings.TrimSpace(string(value)))
	}
	return m
}

// copyCheckout copies what git knows, as it is now, to a folder.
func copyCheckout(t *testing.T, folder string) {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	require.NoError(t, err)
	for _, name := range strings.Split(strings.TrimRight(string(names), "\x00"), "\x00") {
		from, to := filepath.Join(root, name), filepath.Join(folder, name)
		info, err := os.Stat(from)
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		require.NoError(t, err)
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		require.NoError(t, os.WriteFile(to, text, info.Mode()))
	}
}

// install does what a package does.
func (m *machine) install() {
	m.t.Helper()
	build := exec.Command("go", "build", "-o", filepath.Join(m.installed, "stompbox"), "./cmd/stompbox")
	build.Dir, build.Env = m.checkout, m.env
	said, err := build.CombinedOutput()
	require.NoError(m.t, err, "%s", said)
}

func (m *machine) command(words ...string) {
	m.t.Helper()
	said, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	require.NoError(m.t, err, "%v: %s", words, said)
}

// terminal is one shell, with what it printed.
type terminal struct {
	m     *machine
	cmd   *exec.Cmd
	stdin io.WriteCloser
	count int
	from  int // where what was printed since the last block begins

	mu      sync.Mutex
	printed bytes.Buffer
	ended   chan struct{}
}

func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.printed.Write(p)
}

func (s *terminal) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.printed.String()
}

// terminal returns the shell of a name, in the checkout; one that is asked for first is opened.
func (m *machine) terminal(name string) *terminal {
	if s, ok := m.terminals[name]; ok {
		return s
	}
	s := &terminal{m: m, ended: make(chan struct{})}
	s.cmd = exec.Command("ip", "netns", "exec", m.namespace, "bash", "--noprofile", "--norc")
	s.cmd.Dir, s.cmd.Env = m.checkout, m.env
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	var err error
	s.stdin, err = s.cmd.StdinPipe()
	require.NoError(m.t, err)
	require.NoError(m.t, s.cmd.Start())
	m.terminals[name] = s
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait()
	}()
	return s
}

// close interrupts what runs in all terminals, as Ctrl-C does, and closes them.
func (m *machine) close() {
	for name, s := range m.terminals {
		if m.t.Failed() {
			m.t.Logf("%s printed:\n%s", name, s.text())
		}
	}
	for name, s := range m.terminals {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT)
		_ = s.stdin.Close()
		select {
		case <-s.ended:
		case <-time.After(20 * time.Second): // what does not end by itself
			_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
			<-s.ended
		}
		delete(m.terminals, name)
	}
}

// interrupt ends what runs in the terminal, as Ctrl-C does, and waits for the end.
func (s *terminal) interrupt() {
	s.m.t.Helper()
	done := fmt.Sprintf("block %d ended with ", s.count)
	s.children(syscall.SIGINT)
	deadline := time.Now().Add(patience())
	for !strings.Contains(s.text(), done) {
		require.True(s.m.t, time.Now().Before(deadline), "it does not end: %s", s.text())
		time.Sleep(20 * time.Millisecond) // a poll of another process
	}
}

// children sends a signal to the programs that the shell runs.
func (s *terminal) children(signal syscall.Signal) {
	pid := strconv.Itoa(s.cmd.Process.Pid)
	list, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	require.NoError(s.m.t, err)
	for _, child := range strings.Fields(string(list)) {
		id, err := strconv.Atoi(child)
		require.NoError(s.m.t, err)
		_ = syscall.Kill(id, signal)
	}
}

// prints wants what a terminal prints next.
func (m *machine) prints(b *block, name string) {
	m.t.Helper()
	s := m.terminals[name]
	require.NotNil(m.t, s, name)
	deadline := time.Now().Add(patience())
	for missing(s.text()[s.from:], b.text) != "" {
		require.True(m.t, time.Now().Before(deadline), "%s:%d: %q is missing in %s", b.file, b.line, missing(s.text()[s.from:], b.text), s.text()[s.from:])
		time.Sleep(20 * time.Millisecond) // a poll of another process
	}
}

// patience is how long a block may take: it may compile all of the broker.
func patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("PATIENCE")); err == nil {
		return d
	}
	return 4 * test.Patience
}

// run has a block run, to its end unless it stays, and wants its output.
func (m *machine) run(b *block, name string, stays bool) {
	m.t.Helper()
	s := m.terminal(name)
	s.count++
	done := regexp.MustCompile(fmt.Sprintf(`(?m)^block %d ended with (\d+)$`, s.count))
	before := len(s.text())
	s.from = before
	_, err := fmt.Fprintf(s.stdin, "%s\necho block %d ended with $?\n", b.text, s.count)
	require.NoError(m.t, err)
	where := fmt.Sprintf("%s:%d", b.file, b.line)
	deadline := time.Now().Add(patience())
	for {
		said := s.text()[before:]
		if end := done.FindStringSubmatch(said); end != nil {
			require.False(m.t, stays, "%s ended: %s", where, said)
			require.Equal(m.t, "0", end[1], "%s: %s", where, said)
			require.Empty(m.t, missing(said, b.output), "%s printed something else: %s", where, said)
			return
		}
		if stays && b.output != "" && missing(said, b.output) == "" {
			return
		}
		require.True(m.t, time.Now().Before(deadline), "%s: %q is missing in %s", where, missing(said, b.output), said)
		time.Sleep(20 * time.Millisecond) // a poll of another process
	}
}

var anything = regexp.MustCompile(` *… *`)

// missing returns the first line of what is wanted that what was said does not have, in
// order. In it, … stands for anything.
func missing(said, wanted string) string {
	lines := strings.Split(said, "\n")
	for _, want := range strings.Split(strings.TrimRight(wanted, "\n"), "\n") {
		pattern := regexp.MustCompile(anything.ReplaceAllString(regexp.QuoteMeta(strings.TrimSpace(want)), ".*"))
		found := false
		for len(lines) > 0 && !found {
			found = pattern.MatchString(lines[0])
			lines = lines[1:]
		}
		if !found {
			return want
		}
	}
	return ""
}
