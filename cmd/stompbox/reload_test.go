package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/test"
)

// reloadable is a broker whose file a test changes.
type reloadable struct {
	*process
	t    *testing.T
	file string
}

func serveReloadable(t *testing.T, text string) *reloadable {
	t.Helper()
	r := &reloadable{t: t, file: writeConfig(t, text)}
	r.process = serve(t, nil, "-c", r.file)
	return r
}

// reload has the broker read another file, and returns what the command says.
func (r *reloadable) reload(text string) *reloaded {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(r.file, []byte(text), 0o600))
	out, stderr, err := run(r.t, nil, "reload", "--json", "-c", r.file, "--http", r.http)
	require.NoError(r.t, err, stderr)
	result := new(reloaded)
	require.NoError(r.t, json.Unmarshal([]byte(out), result))
	return result
}

// hangUp has the broker read another file by SIGHUP, and returns when the log says so.
func (r *reloadable) hangUp(text, says string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(r.file, []byte(text), 0o600))
	before := strings.Count(r.stderr.String(), says)
	require.NoError(r.t, r.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(r.t, func() bool { return strings.Count(r.stderr.String(), says) > before }, test.Patience, 10*time.Millisecond, "%s", r.stderr)
}

func hashOf(t *testing.T, passcode string) string {
	t.Helper()
	hash, err := auth.HashPasscode(passcode)
	require.NoError(t, err)
	return hash
}

// TestReloadChangesWhoMayDoWhat, without dropping a connection: keys, logins, roles.
func TestReloadChangesWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	a, b := hashOf(t, "passcode a"), hashOf(t, "passcode b")
	text := func(key, logins, roles string) string {
		return "auth:\n  jwt: { keys: [ { id: k, secret: " + key + " } ] }\n  logins: [ " + logins + " ]\n  roles: " + roles + "\n"
	}
	login := func(name, hash, role string) string {
		return "{ login: " + name + ", passcode_hash: '" + hash + "', role: " + role + " }"
	}
	const old, fresh = "an old secret of more than 32 bytes", "a fresh secret of more than 32 bytes"
	logins := login("a", a, "wide") + ", " + login("b", b, "wide")
	const wide = `{ wide: { send: ["/topic/**"], subscribe: ["/topic/**", "/user/**"] }, narrow: { subscribe: ["/topic/free", "/user/**"] } }`
	r := serveReloadable(t, text(old, logins, wide))
	clientA := test.DialAddress(t, r.tcp).Connect("login", "a", "passcode", "passcode a")
	clientB := test.DialAddress(t, r.tcp).Connect("login", "b", "passcode", "passcode b")
	token, stderr, err := run(t, nil, "token", "--user", "carol", "-c", r.file)
	require.NoError(t, err, stderr)
	carol := test.DialAddress(t, r.tcp).Connect("Authorization", "Bearer "+strings.TrimSpace(token))
	clientA.Subscribe("e", "/user/queue/errors")
	clientA.Subscribe("s", "/topic/secret")
	clientA.Subscribe("f", "/topic/free")

	result := r.reload(text(old, login("a", a, "narrow")+", "+login("b", b, "wide"), wide))
	require.Equal(t, &reloaded{Changed: []string{"auth.logins"}, NeedRestart: result.NeedRestart, Sessions: 3, Revoked: 1}, result)
	require.Empty(t, result.NeedRestart)
	failure := clientA.Expect(frames.MESSAGE)
	require.Equal(t, "/topic/secret", failure.Get("failed-destination"))
	for _, dest := range []string{"/topic/secret", "/topic/free"} {
		clientB.Send(frames.SEND, "destination", dest, "to "+dest)
	}
	clientA.Message("to /topic/free")
	clientA.Send(frames.SEND, "destination", "/topic/free", "receipt", "x", "may not")
	clientA.Error("no send permission")

	// The login a is gone, and the key is another one.
	clientA = test.DialAddress(t, r.tcp).Connect("login", "a", "passcode", "passcode a")
	r.hangUp(text(fresh, login("b", b, "wide"), wide), "the configuration was reloaded")
	clientA.Error("your credentials are not accepted any more")
	carol.Error("your credentials are not accepted any more")
	refused := test.DialAddress(t, r.tcp)
	refused.Send(frames.CONNECT, "accept-version", "1.2", "login", "a", "passcode", "passcode a")
	refused.Error("authentication failed")
	clientB.Subscribe("s", "/topic/b")
	clientB.Send(frames.SEND, "destination", "/topic/b", "b goes on")
	clientB.Message("b goes on")
	r.stop(t)
}

// TestABadFileChangesNothing: what is in force stays wholly, and the log and the answer
// say what is wrong.
func TestABadFileChangesNothing(t *testing.T) {
	t.Parallel()
	r := serveReloadable(t, testSecret+"  default: { send: [/topic/a], subscribe: [/topic/a] }\n")
	token, stderr, err := run(t, nil, "token", "--user", "alice", "-c", r.file)
	require.NoError(t, err, stderr)
	c := test.DialAddress(t, r.tcp).Connect("Authorization", "Bearer "+strings.TrimSpace(token))
	c.Subscribe("s", "/topic/a")
	still := func() {
		t.Helper()
		c.Send(frames.SEND, "destination", "/topic/a", "still")
		c.Message("still")
	}
	for text, says := range map[string]string{
		testSecret + "  default: { send: [topic] }\n":              `auth.default: send pattern`,
		testSecret + "limits: { headers: -1 }\n":                   "limits.headers",
		testSecret + "limts: { headers: 1 }\n":                     `unknown key \"limts\"`,
		testSecret + "http: { tls: { cert: a } }\n":                "needs both cert and key",
		testSecret + "http:\n  - a\n b\n":                          "cannot read",
		"auth: { jwt: { secret: short } }\n":                       "has 5 bytes",
		"auth: { jwt: { jwks_url: 'http://127.0.0.1:1/keys' } }\n": "the key set could not be fetched",
		testSecret + "app: { webhooks: [ { name: a, match: /app/a, url: x, secret: 0123456789012345678901234 } ] }\n": "not an http or https URL",
	} {
		r.hangUp(text, "the configuration was not reloaded; the one before goes on")
		r.says(t, regexp.QuoteMeta(says))
		still()
	}
	require.NoError(t, os.WriteFile(r.file, []byte(testSecret+"log: { level: loud }\n"), 0o600))
	request, err := http.NewRequest(http.MethodPost, "http://"+r.http+"/api/reload", nil)
	require.NoError(t, err)
	ask := func(send string) (int, string) {
		require.NoError(t, os.WriteFile(r.file+".good", []byte(testSecret), 0o600))
		token, stderr, err := run(t, nil, "token", "--user", "op", "--send", send, "-c", r.file+".good")
		require.NoError(t, err, stderr)
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer answer.Body.Close()
		var p struct{ Detail, Code string }
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&p))
		return answer.StatusCode, p.Code + ": " + p.Detail
	}
	status, says := ask("/session/reload")
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, says, "bad-configuration: ")
	require.Contains(t, says, `log.level "loud"`)
	status, says = ask("/topic/**")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, says, "no send permission for /session/reload")
	_, stderr, err = run(t, nil, "reload", "-c", r.file, "--http", r.http)
	require.Error(t, err)
	require.Contains(t, stderr, `log.level "loud"`)
	still()
	r.stop(t)
}

// TestReloadNamesWhatWaitsForARestart, and does the rest: the log level, origins, a limit.
func TestReloadNamesWhatWaitsForARestart(t *testing.T) {
	t.Parallel()
	r := serveReloadable(t, testSecret+"log: { level: error }\n")
	dial := func() error {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.http+"/ws", http.Header{"Origin": {"https://app.example"}})
		if err == nil {
			_ = ws.Close()
		}
		return err
	}
	require.Error(t, dial())
	text := testSecret + "http: { allowed_origins: [https://app.example] }\nlog: { level: info, format: json }\nqueues: { ack_wait: 1m }\nnats: { prefix: other }\nlimits: { connections: 1000 }\n"
	result := r.reload(text)
	require.Equal(t, []string{"http.allowed_origins", "limits.connections", "log.level"}, result.Changed)
	var waiting []string
	for _, key := range result.NeedRestart {
		waiting = append(waiting, key.Key)
		r.says(t, "key="+regexp.QuoteMeta(key.Key))
	}
	require.Equal(t, []string{"log.format", "nats.prefix", "queues.ack_wait"}, waiting)
	require.NoError(t, dial())
	r.says(t, "the configuration was reloaded") // which is at the level info
	out, stderr, err := run(t, nil, "reload", "-c", r.file, "--http", r.http)
	require.NoError(t, err, stderr)
	require.Contains(t, out, "changed: no key")
	require.Contains(t, out, "waits for a restart: nats.prefix (")
	r.stop(t)
}

// TestReloadSaysWhatIsNotInForce: files that are read at the start, a key set that cannot be fetched,
// and a broker that is elsewhere. A limit that was lowered can be raised again.
func TestReloadSaysWhatIsNotInForce(t *testing.T) {
	t.Parallel()
	var keys atomic.Value
	keys.Store(publishedKey)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keys.Load().(string))) }))
	t.Cleanup(provider.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("a token of scrapes in this test\n"), 0o600))
	text := testSecret + "    jwks_url: " + provider.URL + "\nmetrics: { listen: '127.0.0.1:0', token_file: " + token + " }\n"
	r := serveReloadable(t, text)
	require.Empty(t, r.reload(text).NeedRestart)
	require.Equal(t, []string{"limits.body"}, r.reload(text+"limits: { body: 1MiB }\n").Changed)
	raised := r.reload(text)
	require.Equal(t, []string{"limits.body"}, raised.Changed)
	require.Empty(t, raised.NeedRestart)

	require.NoError(t, os.WriteFile(token, []byte("another token of scrapes in this test\n"), 0o600))
	keys.Store(`{"keys":[]}`)
	require.Equal(t, []string{"the key set of auth.jwt.jwks_url could not be fetched, or has no key that can be used, so the previous keys stay valid; the log says why"}, r.reload(text).Warnings)
	r.says(t, "could not fetch the JSON Web Key Set.*no key that can be used: it is empty")
	provider.Close()
	result := r.reload(text)
	require.Equal(t, []config.KeyReason{{Key: "metrics.token_file", Why: "what the file holds is read at the start"}}, result.NeedRestart)
	require.Len(t, result.Warnings, 1)
	require.Contains(t, result.Warnings[0], "auth.jwt.jwks_url could not be fetched")
	out, stderr, err := run(t, nil, "reload", "-c", r.file, "--http", r.http)
	require.NoError(t, err, stderr)
	require.Contains(t, out, "warning: the key set of auth.jwt.jwks_url")
	r.says(t, "the configuration was reloaded in part")
	_, stderr, err = run(t, nil, "reload", "-c", r.file, "--http", "127.0.0.1:1")
	require.Error(t, err)
	require.Contains(t, stderr, "send it SIGHUP")
	r.stop(t)
}

// TestAnEarlyHangupDoesNotEndTheBroker, before serve takes the signal over. Other commands end, as when a terminal is closed.
func TestAnEarlyHangupDoesNotEndTheBroker(t *testing.T) {
	t.Parallel()
	hungUp := []string{"TEST_AS_HUNG_UP=1"}
	_, stderr, err := run(t, hungUp, "serve", "--dev")
	require.NoError(t, err, stderr)
	if signal.Ignored(syscall.SIGHUP) { // as below nohup, which the processes inherit
		return
	}
	_, _, err = run(t, hungUp, "subscribe", "/topic/a")
	require.ErrorContains(t, err, "hangup")
}

// publishedKey is a key set with the key of RFC 8037, A.2.
const publishedKey = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"published","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`

// TestReloadsCountFetchesThatFail, of the key set in force, with a key set that has no key to use too.
func TestReloadsCountFetchesThatFail(t *testing.T) {
	t.Parallel()
	var keys atomic.Value
	keys.Store(`{"keys":[]}`)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keys.Load().(string))) }))
	t.Cleanup(provider.Close)
	c, log := new(config.Config), slog.New(slog.DiscardHandler)
	c.Auth.JWT.JWKSURL, c.Auth.JWT.Leeway = provider.URL, time.Minute
	c.Auth.JWT.PrincipalClaim = "sub"
	reload := func(parts authParts) authParts {
		next, err := newAuthParts(t.Context(), c, log, parts)
		require.NoError(t, err)
		return next
	}
	parts := reload(authParts{})
	require.Equal(t, auth.KeyStats{FetchErrors: 1}, parts.keySet.Stats(), "at the start")
	parts = reload(parts)
	require.Equal(t, auth.KeyStats{FetchErrors: 2}, parts.keySet.Stats())
	require.Contains(t, parts.staleWarning(), "there are no keys of before")
	keys.Store(publishedKey)
	parts = reload(parts)
	require.Equal(t, auth.KeyStats{Keys: 1, FetchErrors: 2}, parts.keySet.Stats())
	require.False(t, parts.stale)
	for n, answer := range []string{`{"keys":[]}`, `<html>`} {
		keys.Store(answer)
		parts = reload(parts)
		require.True(t, parts.stale)
		require.Equal(t, auth.KeyStats{Keys: 1, FetchErrors: 3 + int64(n)}, parts.keySet.Stats(), answer)
	}
	c.Auth.JWT.JWKSURL = provider.URL + "/elsewhere"
	_, err := newAuthParts(t.Context(), c, log, parts)
	require.ErrorContains(t, err, "could not be fetched")
	require.Equal(t, auth.KeyStats{Keys: 1, FetchErrors: 5}, parts.keySet.Stats(), "the new URL was refused")
	parts.close()
}

// TestReloadNamesFilesThatHoldSomethingElse, and changes of the file that a flag overrides.
func TestReloadNamesFilesThatHoldSomethingElse(t *testing.T) {
	t.Parallel()
	hash := filepath.Join(t.TempDir(), "hash")
	require.NoError(t, os.WriteFile(hash, []byte(hashOf(t, "passcode a")), 0o600))
	text := testSecret + "  logins: [ { login: a, passcode_hash_file: " + hash + " } ]\n"
	r := &reloadable{t: t, file: writeConfig(t, text)}
	r.process = serve(t, nil, "-c", r.file, "--log-level", "info")
	require.Empty(t, r.reload(text).Changed)
	require.NoError(t, os.WriteFile(hash, []byte(hashOf(t, "passcode b")), 0o600))
	require.Equal(t, []string{"auth.logins, entry 1.passcode_hash_file"}, r.reload(text).Changed)
	result := r.reload(text + "log: { level: error }\n")
	require.Empty(t, result.Changed)
	require.Equal(t, []string{"log.level has changed in " + r.file + ", which has no effect: --log-level sets it"}, result.Warnings)
	require.Empty(t, r.reload(text+"log: { level: error }\n").Warnings, "it was said")
	r.stop(t)
}

// TestReloadShowsNewCertificates to who connects, while connections go on.
func TestReloadShowsNewCertificates(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	otherCert, otherKey, otherPool := certificate(t)
	r := serveReloadable(t, testSecret+"stomp: { tls: { cert: "+cert+", key: "+key+" } }\n")
	open, err := tls.Dial("tcp", r.tcp, &tls.Config{RootCAs: pool})
	require.NoError(t, err)
	defer open.Close()
	// The files are the same by name, and hold something else.
	for from, to := range map[string]string{otherCert: cert, otherKey: key} {
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, content, 0o600))
	}
	r.hangUp(testSecret+"stomp: { tls: { cert: "+cert+", key: "+key+" } }\n", "the configuration was reloaded")
	fresh, err := tls.Dial("tcp", r.tcp, &tls.Config{RootCAs: otherPool})
	require.NoError(t, err)
	require.NoError(t, fresh.Close())
	token, stderr, err := run(t, nil, "token", "--user", "alice", "-c", r.file)
	require.NoError(t, err, stderr)
	_, err = open.Write(frames.Append(nil, frames.New(frames.CONNECT, "accept-version", "1.2", "host", "h", "Authorization", "Bearer "+strings.TrimSpace(token)), frames.V12))
	require.NoError(t, err)
	buf := make([]byte, len("CONNECTED"))
	_, err = open.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "CONNECTED", string(buf))
	r.stop(t)
}

// TestACertificateThatHasEndedIsNamed: by config check, at the start, by a reload, and by the metric.
func TestACertificateThatHasEndedIsNamed(t *testing.T) {
	t.Parallel()
	admin := test.Address(t)
	text := func(ends time.Time) string {
		cert, key, _ := certificateUntil(t, ends)
		return testSecret + "stomp: { tls: { cert: " + cert + ", key: " + key + " } }\nadmin: { listen: '" + admin + "' }\n"
	}
	ended := time.Now().Add(-time.Hour)
	const says = "stomp.tls: the certificate ended on "
	r := serveReloadable(t, text(ended))
	r.says(t, says)
	out, stderr, err := run(t, nil, "config", "check", "-c", r.file)
	require.NoError(t, err)
	require.Contains(t, stderr, "stompbox: warning: "+says)
	require.Contains(t, out, "the configuration is fine")
	_, shown := askAs(t, "http://"+admin+"/metrics", "", "")
	require.Contains(t, shown, fmt.Sprintf(`stompbox_certificate_expiry_timestamp_seconds{certificate="stomp.tls"} %v`, float64(ended.Unix())))
	require.Empty(t, r.reload(text(time.Now().Add(time.Hour))).Warnings)
	result := r.reload(text(ended))
	require.Len(t, result.Warnings, 1)
	require.Contains(t, result.Warnings[0], says)
	r.stop(t)
}

// TestReloadThroughTheListenerOfOperators needs no key of users' tokens.
func TestReloadThroughTheListenerOfOperators(t *testing.T) {
	t.Parallel()
	admin := test.Address(t)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("a token of operators in this test\n"), 0o600))
	text := "auth: { logins: [ { login: a, passcode_hash: '" + hashOf(t, "passcode a") + "' } ] }\nadmin: { listen: '" + admin + "', token_file: " + file + " }\n"
	r := serveReloadable(t, text)
	require.Equal(t, []string{"log.level"}, r.reload(text+"log: { level: warn }\n").Changed)
	r.stop(t)
}

// TestReloadsThatWaitShareOne: each answer is of a reload that began after it was asked for, and many
// who wait cost one.
func TestReloadsThatWaitShareOne(t *testing.T) {
	t.Parallel()
	begun, proceed := make(chan struct{}), make(chan error)
	s := &reloader{server: &server{log: slog.New(slog.DiscardHandler), systemd: newSystemd(slog.New(slog.DiscardHandler))}}
	s.load = func() (*config.Config, *config.Locations, error) {
		begun <- struct{}{}
		return nil, nil, <-proceed
	}
	outcome := make(chan error)
	go func() { _, err := s.reload(t.Context()); outcome <- err }()
	<-begun
	gone, leave := context.WithCancel(t.Context())
	leave()
	next := func() *reloadRun {
		_, err := s.reload(gone)
		require.ErrorIs(t, err, context.Canceled, "who leaves does not wait")
		s.waiting.Lock()
		defer s.waiting.Unlock()
		return s.next
	}
	waiting := next()
	require.NotNil(t, waiting, "the one under way may have read the file already")
	for range 8 {
		require.Same(t, waiting, next())
	}
	first, second := errors.New("first"), errors.New("second")
	proceed <- first
	require.Equal(t, first, <-outcome)
	<-begun
	require.NotSame(t, waiting, next(), "it reads the file now")
	proceed <- second
	<-waiting.done
	require.Equal(t, second, waiting.err)
	<-begun
	proceed <- first
}
