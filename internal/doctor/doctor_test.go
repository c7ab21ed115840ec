package doctor

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/test"
	"github.com/stompbox/stompbox/internal/test/local"
	"github.com/stompbox/stompbox/relay"
)

func TestMain(m *testing.M) { local.CheckLeaks(m) }

// examine returns an examination of a configuration in YAML.
func examine(t *testing.T, yaml string) *examination {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stompbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
	c, err := config.Load(config.Source{File: file, Environ: []string{}, Client: true})
	require.NoError(t, err)
	return &examination{Options: Options{Config: c, Timeout: test.Patience, Now: time.Now}, c: c}
}

// requireResult wants one result of a check, with a status and a part of its message.
func requireResult(t *testing.T, results []Result, check string, status Status, says string) Result {
	t.Helper()
	for _, r := range results {
		if r.Check == check && strings.Contains(r.Message, says) {
			require.Equal(t, status, r.Status, "%+v", r)
			require.True(t, status == OK || r.Remedy != "", "a remedy: %+v", r)
			return r
		}
	}
	require.Fail(t, "missing", "%s %q in %+v", check, says, results)
	return Result{}
}

func TestRunChecksAllInOrderAndPrintsWhatToDo(t *testing.T) {
	t.Parallel()
	e := examine(t, "dev: true\ndata_dir: "+t.TempDir()+"\nhttp: { listen: '127.0.0.1:0' }\n")
	results := Run(t.Context(), Options{Config: e.c})
	var checks []string
	for _, r := range results {
		checks = append(checks, r.Check)
	}
	require.Equal(t, []string{"configuration", "open files", "clock", "http.listen", "data_dir", "disk"}, checks)
	var text strings.Builder
	require.NoError(t, Print(&text, append(results, warn("x", "do\nthis", "line\x1b[2J\nok    all is well"))))
	require.Contains(t, text.String(), "warn  configuration  development mode lets everybody in as guest\n")
	require.Contains(t, text.String(), "-> configure keys, and leave dev out")
	require.Contains(t, text.String(), "warn  x              line [2J ok    all is well\n", "others cannot forge lines")
	require.Contains(t, text.String(), "-> do this\n")
	require.NotContains(t, text.String(), "\x1b")
}

func TestAConfigurationThatServeRefusesFails(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{Environ: []string{}})
	require.Error(t, err)
	results := Run(t.Context(), Options{Config: c, ConfigError: err})
	requireResult(t, results, "configuration", Failure, "could authenticate")
	require.Greater(t, len(results), 1, "the rest is checked all the same")
	require.Len(t, Run(t.Context(), Options{ConfigError: err}), 1)

	e := examine(t, "nats: { prefix: a }\n")
	requireResult(t, checkConfiguration(t.Context(), e), "configuration", OK, "fine")
}

// TestWrongVariablesOfTracesAreNamed as serve names them.
func TestWrongVariablesOfTracesAreNamed(t *testing.T) {
	e := examine(t, "nats: { prefix: a }\n")
	require.Empty(t, checkTraces(t.Context(), e))
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
	require.Empty(t, checkTraces(t.Context(), e))
	t.Setenv("OTEL_TRACES_SAMPLER", "sometimes")
	requireResult(t, checkTraces(t.Context(), e), "traces", Warning, `OTEL_TRACES_SAMPLER "sometimes" is ignored`)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "bogus")
	requireResult(t, checkTraces(t.Context(), e), "traces", Failure, `OTEL_EXPORTER_OTLP_ENDPOINT "bogus"`)
}

func TestListenersTellWhyAPortCannotBeUsed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	e := examine(t, "http: { listen: '"+taken.Addr().String()+"' }\nstomp: { listen: '127.0.0.1:0' }\nmetrics: { listen: '192.0.2.1:9', anonymous: true }\n")
	results := checkListeners(t.Context(), e)
	r := requireResult(t, results, "http.listen", Failure, "is in use by another program")
	require.Contains(t, r.Remedy, "ss -ltnp")
	requireResult(t, results, "stomp.listen", OK, "is free")
	requireResult(t, results, "metrics.listen", Failure, "is not an address of this machine")

	e.Running = true
	results = checkListeners(t.Context(), e)
	requireResult(t, results, "http.listen", OK, "as the broker runs")
	requireResult(t, results, "stomp.listen", Warning, "does not listen on it")
}

func TestDataDirTellsWhoUsesIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(dir string) *examination { return examine(t, "data_dir: "+dir+"\n") }
	requireResult(t, checkDataDir(t.Context(), at(dir)), "data_dir", OK, "no process uses it")
	requireResult(t, checkDataDir(t.Context(), at(filepath.Join(dir, "a", "b"))), "data_dir", OK, "serve makes it")
	require.NoDirExists(t, filepath.Join(dir, "a"), "a check changes nothing")
	requireResult(t, checkDataDir(t.Context(), at("/proc/stompbox")), "data_dir", Failure, "cannot be made")
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	requireResult(t, checkDataDir(t.Context(), at(file)), "data_dir", Failure, "it is not a folder")
	require.Empty(t, checkDataDir(t.Context(), examine(t, "nats: { url: 'nats://127.0.0.1:1' }\n")), "nothing is kept here then")

	used := filepath.Join(dir, "used")
	r, err := relay.Embed(relay.EmbeddedOptions{DataDir: used}, relay.Options{})
	require.NoError(t, err)
	requireResult(t, checkDataDir(t.Context(), at(used)), "data_dir", Failure, "is in use by process")
	e := at(used)
	e.Running = true
	requireResult(t, checkDataDir(t.Context(), e), "data_dir", OK, "as the broker runs")
	r.Close()
	requireResult(t, checkDataDir(t.Context(), e), "data_dir", Warning, "does not use")
	require.NoError(t, os.Chmod(used, 0o755))
	requireResult(t, checkDataDir(t.Context(), at(used)), "data_dir", Warning, "is open to all users")
	require.NoError(t, os.Chmod(used, 0o700))
	requireResult(t, checkDataDir(t.Context(), at(used)), "data_dir", OK, "no process uses it")
	left, err := filepath.Glob(filepath.Join(used, ".doctor*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestDiskWarnsBeforeItIsFull(t *testing.T) {
	t.Parallel()
	e := examine(t, "data: { max_bytes: 10GiB }\n")
	for says, tt := range map[string]struct {
		disk   disk
		status Status
	}{
		"has 20.0 GiB free": {disk{free: 20 << 30}, OK},
		"has 5.0 GiB free, less than data.max_bytes, 10.0 GiB": {disk{free: 5 << 30}, Warning},
		"has 50.0 MiB free: queues and histories will refuse":  {disk{free: 50 << 20}, Failure},
		"is in memory":                {disk{free: 20 << 30, volatile: true}, Warning},
		"is on a network file system": {disk{free: 20 << 30, network: true}, Warning},
	} {
		requireResult(t, []Result{checkDisk(e, "/data", tt.disk)}, "disk", tt.status, says)
	}
	requireResult(t, []Result{checkDisk(examine(t, "dev: true\n"), "/data", disk{free: 500 << 20})}, "disk", Warning, "has 500.0 MiB free")
	requireResult(t, []Result{checkDisk(examine(t, "dev: true\n"), "/data", disk{free: 500})}, "disk", Failure, "has 500 bytes free")
}

func TestSecretsAreReadableByFew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
		return path
	}
	open, kept, public := write("open", "x", 0o644), write("kept", "x", 0o640), write("public.pem", "-----BEGIN PUBLIC KEY-----\n", 0o644)
	e := examine(t, "auth: { jwt: { secret_file: "+open+", key_file: "+public+", keys: [{ id: a, secret_file: "+kept+" }, { id: b, secret_file: "+dir+"/none }] } }\n")
	results := checkSecrets(t.Context(), e)
	requireResult(t, results, "auth.jwt.secret_file", Warning, "can be read by all users")
	requireResult(t, results, "auth.jwt.key_file", OK, "public key")
	requireResult(t, results, "auth.jwt.keys.a", OK, "can be read")
	requireResult(t, results, "auth.jwt.keys.b", Failure, "no such file")
}

func TestPeersAreReached(t *testing.T) {
	t.Parallel()
	answers := func(text string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, text)
				_ = c.Close()
			}
		}()
		return l.Addr().String()
	}
	node, other, away, self := answers("INFO {}\r\n"), answers("HTTP/1.1 400 Bad Request\r\n"), test.Address(t), test.Address(t)
	e := examine(t, "cluster: { listen: '"+self+"', node: a, peers: ['"+strings.Join([]string{node, other, away, self, "node.invalid:1"}, "', '")+"'] }\n")
	results := checkPeers(t.Context(), e)
	requireResult(t, results, "peer "+node, OK, "reached")
	requireResult(t, results, "peer "+other, Warning, "it is no node")
	requireResult(t, results, "peer "+away, Warning, "is not reached")
	requireResult(t, results, "peer "+self, OK, "this node itself")
	requireResult(t, results, "peer node.invalid:1", Warning, "its name is not known")
}
