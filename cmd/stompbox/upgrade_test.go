package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// git runs git in this repository, or skips the test where there is none.
func git(t *testing.T, args ...string) string {
	t.Helper()
	said, err := exec.Command("git", append([]string{"-C", "../.."}, args...)...).Output()
	if err != nil {
		t.Skipf("an older build needs git and the history of this repository: git %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(said))
}

// olderCommit is the last tagged one, or else the last one without versions in what nodes
// write: where that is not known, the one before this.
func olderCommit(t *testing.T) string {
	t.Helper()
	if tag, err := exec.Command("git", "-C", "../..", "describe", "--tags", "--abbrev=0", "HEAD^").Output(); err == nil {
		return strings.TrimSpace(string(tag))
	}
	if made := git(t, "log", "--diff-filter=A", "--format=%H", "--", "relay/format.go"); made != "" {
		made, _, _ = strings.Cut(made, "\n")
		return made + "^"
	}
	return "HEAD^"
}

// olderBuild builds the program as it was.
func olderBuild(t *testing.T) string {
	t.Helper()
	commit := git(t, "rev-parse", "--verify", "--quiet", olderCommit(t))
	source, program := t.TempDir(), filepath.Join(t.TempDir(), "stompbox")
	archive := filepath.Join(source, "source.tar")
	git(t, "archive", "--output="+archive, commit, "go.mod", "go.sum", "*.go", "cmd", "internal", "httpapi", "gateway", "docs", "stompbox.example.yaml")
	said, err := exec.Command("tar", "-xf", archive, "-C", source).CombinedOutput()
	require.NoError(t, err, "%s", said)
	build := exec.Command("go", "build", "-o", program, "./cmd/stompbox")
	build.Dir, build.Env = source, append(os.Environ(), "GOFLAGS=-mod=mod")
	said, err = build.CombinedOutput()
	require.NoError(t, err, "%s", said)
	t.Logf("the older build is of %s", commit)
	return program
}

// TestARollingUpgradeLosesNothing has nodes of an older build become this one, one after the
// other and under load, and one of them the older one again. Meanwhile both are in
// one cluster: what was confirmed by either arrives, in order and once in histories, and
// in queues and durable subscriptions at least once.
func TestARollingUpgradeLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an older commit")
	}
	t.Parallel()
	older := olderBuild(t)
	c := clusterWith(t, 3, older, []string{"STOMPBOX_DRAIN_WINDOW=500ms"}, "-c", historyConfig(t, 3))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	away := durable(t, c.node(0))
	away.Close()
	l := startLoad(ctx, t, c, 2*time.Millisecond)
	for _, step := range []struct {
		node    int
		program string
	}{{0, os.Args[0]}, {1, os.Args[0]}, {0, older}, {2, os.Args[0]}} {
		c.node(step.node).stop(t)
		c.program = step.program
		c.start(step.node)
		for i := range 3 {
			c.node(i).ready(t)
		}
		exchange(t, c)
	}
	l.stopSending(t)
	for _, f := range l.followers {
		f.sawAll(t, l.topic.next)
	}
	cancel()
	l.following.Wait()
	rest := consumeAgain(t, c.node(0), "/queue/load")
	consume(rest, numbers(l.queue.next))
	rest.Close()
	back := durable(t, c.node(2))
	consume(back, numbers(l.topic.next))
	back.Close()
	for i := range 3 {
		require.NotContains(t, c.node(i).stderr.String(), "newer version")
	}
	c.stop()
}

// durable subscribes to the topic of the load.
func durable(t *testing.T, p *process) *test.Client {
	t.Helper()
	return subscribeAgain(t, p, "d", "/topic/kept.load", "durable", "true", "auto-delete", "false", "ack", "client-individual")
}

// exchange has each node send topics, notifications of a user and requests to the others.
func exchange(t *testing.T, c *cluster) {
	t.Helper()
	for i := range 3 {
		here, there := test.DialAddress(t, c.node(i).tcp).Connect(), test.DialAddress(t, c.node(i+1).tcp).Connect()
		here.Subscribe("t", "/topic/exchange."+strconv.Itoa(i))
		here.Subscribe("u", "/user/queue/exchange."+strconv.Itoa(i))
		here.Subscribe("a", "/app/exchange."+strconv.Itoa(i))
		there.Send(frames.SEND, "destination", "/topic/exchange."+strconv.Itoa(i), "hello")
		require.Equal(t, "hello", string(here.Expect(frames.MESSAGE).Body))
		there.Send(frames.SEND, "destination", "/user/guest/queue/exchange."+strconv.Itoa(i), "to you")
		require.Equal(t, "to you", string(here.Expect(frames.MESSAGE).Body))
		there.Send(frames.SEND, "destination", "/app/exchange."+strconv.Itoa(i), "reply-to", "/temp-queue/answers", "odd name", "an odd\tvalue", "question")
		question := here.Expect(frames.MESSAGE)
		require.Equal(t, "question", string(question.Body))
		require.Equal(t, "an odd\tvalue", question.Get("odd name"))
		here.Send(frames.SEND, "destination", question.Get("reply-to"), "answer")
		require.Equal(t, "answer", string(there.Expect(frames.MESSAGE).Body))
		here.Close()
		there.Close()
	}
}
