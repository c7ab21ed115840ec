package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestOperatorsCommands runs each command against admin.listen with its token.
func TestOperatorsCommands(t *testing.T) {
	t.Parallel()
	admin, dir := test.Address(t), t.TempDir()
	file := filepath.Join(dir, "stompbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte("history: { policies: [{ name: chat, match: '/topic/chat.*', max_messages: 10 }] }\ncluster: { node: n1 }\n"), 0o600))
	token := tokenFile(t, adminToken)
	env := []string{"STOMPBOX_ADMIN_TOKEN_FILE=" + token}
	args := []string{"--dev", "-c", file, "--admin", admin, "--data-dir", filepath.Join(dir, "data")}
	p := serve(t, env, args...)
	do := func(args ...string) string {
		t.Helper()
		out, stderr, err := run(t, nil, append(args, "--url", "http://"+admin, "--token-file", token)...)
		require.NoError(t, err, "%v: %s", args, stderr)
		return out
	}
	fails := func(says string, args ...string) {
		t.Helper()
		_, stderr, err := run(t, nil, append(args, "--url", "http://"+admin, "--token-file", token)...)
		require.Error(t, err)
		require.Contains(t, stderr, says)
	}
	_, alice := get(t, "http://"+p.http+"/dev/token?user=alice")
	c := test.DialWebSocket(t, "ws://"+p.http+"/ws").Connect("Authorization", "Bearer "+alice)
	c.SendKept("/topic/chat.a", "hello") // before it subscribes: a MESSAGE may come before the RECEIPT
	c.Subscribe("s", "/topic/chat.a")
	for _, body := range []string{"one", "two"} {
		c.Send(frames.SEND, "destination", "/queue/work", "receipt", body, "type", body, body)
		c.Receipt(body)
	}

	require.Regexp(t, `(?m)^alice +1 +1 +\S+ +\S+ +0 +127\.0\.0\.1 +n1$`, do("users", "--order", "slowest"))
	require.Contains(t, do("users", "--json"), `"name":"alice"`)
	require.Regexp(t, c.Connected.Get("session")+` +alice +127\.0\.0\.1:\d+ +websocket +1\.2 +n1`, do("sessions"))
	require.Contains(t, do("sessions", "alice", "--json"), `"destination":"/topic/chat.a"`)
	require.Contains(t, do("sessions", "--destination", "/topic/chat.a"), c.Connected.Get("session"))
	require.NotContains(t, do("sessions", "--destination", "/topic/chat.b"), c.Connected.Get("session"))
	fails("not both", "sessions", "alice", "--destination", "/topic/chat.a")
	fails("the parameter destination is empty", "sessions", "--destination", "")
	require.Regexp(t, `(?m)^n1 +stompbox/\S+ +\d+s +serving +1 +1 +3 `, do("nodes"))
	require.Contains(t, do("history", "list"), "/topic/chat.*")
	require.Contains(t, do("history", "read", "/topic/chat.a", "--since", "1h"), "hello")
	require.Empty(t, do("history", "read", "/topic/chat.a", "--until", "2001-01-01T00:00:00Z"))
	fails("add --yes", "history", "clear", "/topic/chat.a")
	require.Equal(t, "cleared 1 messages of /topic/chat.a\n", do("history", "clear", "--yes", "/topic/chat.a"))
	require.Empty(t, do("history", "read", "/topic/chat.a"))

	for _, odd := range []string{"/", "..", "a b?%2F#"} {
		_, token := get(t, "http://"+p.http+"/dev/token?user="+url.QueryEscape(odd))
		c := test.DialWebSocket(t, "ws://"+p.http+"/ws").Connect("Authorization", "Bearer "+token)
		require.Contains(t, do("sessions", odd), c.Connected.Get("session"))
		require.Equal(t, "disconnected "+odd+"; 1 sessions were ended\n", do("disconnect", odd))
		c.Expect(frames.ERROR)
	}

	id := strings.Fields(do("queue", "peek", "/queue/work"))[0]
	require.Contains(t, do("queue", "get", "/queue/work", id), `"body":"one"`)
	require.Equal(t, "moved "+id+" to /queue/other\n", do("queue", "requeue", "/queue/work", id, "--to", "/queue/other"))
	for _, filter := range [][]string{{"--older", "-1h"}, {"--older", "0"}, {"--user", ""}, {"--id", ""}} {
		fails("the parameter "+strings.TrimPrefix(filter[0], "--"), append([]string{"queue", "purge", "--yes", "/queue/work"}, filter...)...)
	}
	fails("no message of /queue/work has the id none", "queue", "purge", "--yes", "--id", "none", "/queue/work")
	fails("there is no message with that id", "queue", "get", "/queue/work", "none")
	fails("there is no message with that id", "queue", "requeue", "/queue/work", "none")
	require.Equal(t, "purged 0 messages of /queue/work\n", do("queue", "purge", "--yes", "--header", "type:", "/queue/work"))
	require.Equal(t, "purged 0 messages of /queue/work\n", do("queue", "purge", "--yes", "--header", "type:one", "/queue/work"))
	require.Equal(t, "purged 1 messages of /queue/work\n", do("queue", "purge", "--yes", "--header", "type:two", "/queue/work"))

	require.Equal(t, "ended 1 subscriptions of alice\n", do("unsubscribe", "alice", "--destination", "/topic/chat.a"))
	require.Equal(t, "disconnected alice; 1 sessions were ended\n", do("disconnect", "alice", "--reason", "sign in again"))
	c.Error("sign in again")
	fails("the parameter session is empty", "disconnect", "alice", "--session", "")
	fails("the parameter session is empty", "unsubscribe", "alice", "--destination", "/topic/chat.a", "--session", "")
	fails("the parameter to is empty", "queue", "requeue", "/queue/work", "1", "--to", "")
	fails("--to is empty", "queue", "move", "/queue/work", "--to", "")
	fails("the parameter since has to be a time", "history", "read", "/topic/chat.a", "--since", "")
	for _, args := range [][]string{{"disconnect", ""}, {"unsubscribe", " ", "--destination", "/topic/a"}, {"ban", "", "--for", "1h"}, {"sessions", ""}, {"queue", "purge", "--yes", ""}, {"queue", "get", "/queue/work", ""}} {
		fails("is empty", args...)
	}
	fails("the end of the ban has to be later than now", "ban", "alice", "--for", "-1h")
	fails("say who", "ban", "--for", "1h")
	fails("say how long", "ban", "alice")
	require.Equal(t, "banned alice; 0 sessions were ended\n", do("ban", "alice", "--for", "1h", "--reason", "spam"))
	_, stderr, err := run(t, nil, "disconnect", "alice", "--for", "1m", "--url", "http://"+admin, "--token-file", token)
	require.NoError(t, err)
	require.Contains(t, stderr, "an earlier ban stays, until ")
	refused := func() {
		t.Helper()
		c := test.DialWebSocket(t, "ws://"+p.http+"/ws")
		c.Send(frames.CONNECT, "accept-version", "1.2", "host", "x", "Authorization", "Bearer "+alice)
		c.Error("you are banned until")
	}
	refused()
	p.stop(t)
	require.Contains(t, p.stderr.String(), `request="POST /api/bans"`)
	require.Contains(t, p.stderr.String(), "by=admin")
	require.NotContains(t, p.stderr.String(), adminToken)

	// The ban holds over a restart.
	p = serve(t, env, args...)
	refused()
	require.Regexp(t, `alice +\S+Z +admin +spam`, do("bans"))
	require.Equal(t, "alice may connect again\n", do("unban", "alice"))
	test.DialWebSocket(t, "ws://"+p.http+"/ws").Connect("Authorization", "Bearer "+alice).Close()
	fails("there is no such ban", "unban", "alice")
	p.stop(t)
}
