//go:build linux

package packaging

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// steps returns the blocks of docs/operations.md that run on a machine with the package, in
// the order of their numbers.
func steps(t *testing.T, text string) (blocks []string) {
	t.Helper()
	marked := regexp.MustCompile("(?s)<!-- test: package, (\\d+) -->\n```sh\n(.*?)```")
	for _, m := range marked.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[2])
		require.Equal(t, fmt.Sprint(len(blocks)), m[1])
	}
	return blocks
}

// identityProvider publishes a key set, and returns its URL and a token of a user.
func identityProvider(t *testing.T) (url, token string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	text := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	set := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"k1","alg":"RS256","use":"sig","n":%q,"e":%q}]}`, text(key.N), text(big.NewInt(int64(key.E))))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, set) }))
	t.Cleanup(server.Close)
	claims := jwt.MapClaims{"sub": "alice", "iss": "https://id.example/", "aud": "chat", "roles": []string{"member"}, "exp": time.Now().Add(time.Hour).Unix()}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	unsigned.Header["kid"] = "k1"
	token, err = unsigned.SignedString(key)
	require.NoError(t, err)
	return server.URL, token
}

// runbook does what docs/operations.md says, as an operator who has nothing else.
func runbook(t *testing.T) {
	text, err := os.ReadFile("/box/operations.md")
	require.NoError(t, err)
	url, token := identityProvider(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "user.token"), []byte(token), 0o600))
	copyFile(t, "/box/stompbox.deb", filepath.Join(dir, "stompbox_0_any.deb"))

	// Without sudo root does it. Prometheus is not installed; where its tool is not there either,
	// that is not tried.
	script := "set -euo pipefail\ncd " + dir + `
sudo() { if [ "$1" = -u ]; then runuser -u "$2" -- "${@:3}"; else "$@"; fi; }
groupadd -f prometheus && mkdir -p /etc/prometheus
command -v promtool >/dev/null || promtool() { echo SUCCESS; }
`
	blocks := steps(t, string(text))
	require.Len(t, blocks, 13)
	for i, block := range blocks {
		if strings.Contains(block, "https://id.example/.well-known") {
			block = strings.ReplaceAll(block, "https://id.example/.well-known/jwks.json", url+"/jwks.json")
		}
		script += fmt.Sprintf("echo == step %d\n%s\n", i+1, block)
	}
	shell := exec.Command("bash", "-c", script)
	printed, err := shell.CombinedOutput()
	require.NoError(t, err, "%s\n%s", printed, journal())
	parts := regexp.MustCompile(`== step \d+\n`).Split(string(printed), -1)
	require.Len(t, parts, 14)
	for i, want := range []string{
		1: `ready\n$`, 2: `it works`, 4: `(?s)the configuration is fine.*ready\n?$`, 5: `(?s)jwks.*reloaded; changed: .*auth.jwt.jwks_url.*\nstompbox_jwks_keys(\{\})? 1\n$`,
		6: `\{"sent":1\}`, 7: `SUCCESS`, 8: `(?s)NODE.*serving.*NODE.*serving`, 9: `(?s)banned alice.*spam.*alice may connect again`, 10: `(?s)NODE.*serving`,
		11: `are in monday`, 12: `are restored`, 13: `(?s)NODE.*serving`,
	} {
		require.Regexp(t, want, parts[i], "step %d", i)
	}
}

func journal() string {
	out, _ := exec.Command("journalctl", "-u", "stompbox", "-n", "40", "--no-pager").CombinedOutput()
	return string(out)
}
