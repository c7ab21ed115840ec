package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheContainersOfTheExamplesWork runs the commands of the examples with containers, with
// what they configure, on this machine: of docker and kubectl, only what is run inside.
func TestTheContainersOfTheExamplesWork(t *testing.T) {
	t.Parallel()
	const inContainer = `
		stompbox() { local command=$1; shift; case $command in token) "$BINARY" token "$@" ;; *) "$BINARY" $command --url "$URL" "$@" ;; esac; }
		docker() { [ "$1 $2 $3 $4" = "compose exec -T stompbox" ] && shift 4 && "$@"; }
		kubectl() { [ "$1 $2 $3 $5" = "-n chat exec --" ] && shift 5 && "$@"; }
		set -e
	`
	policies := "history: { policies: [ { name: chat, match: \"/topic/chat.**\", max_messages: 1000, max_age: 24h } ] }\n"
	compose, err := os.ReadFile("../../examples/compose/stompbox.yaml")
	require.NoError(t, err)
	for example, config := range map[string]string{
		"compose":    strings.ReplaceAll(string(compose), "0.0.0.0:9464", "127.0.0.1:0"),
		"kubernetes": policies, // deploy/check has the chart make it of values.yaml
	} {
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			readme, err := os.ReadFile("../../examples/" + example + "/README.md")
			require.NoError(t, err)
			_, rest, found := strings.Cut(string(readme), "<!-- test: TestTheContainersOfTheExamplesWork -->\n```sh\n")
			require.True(t, found)
			commands, rest, _ := strings.Cut(rest, "```")
			_, rest, _ = strings.Cut(rest, "```text\n")
			output, _, _ := strings.Cut(rest, "```")
			require.NotEmpty(t, output)

			file := filepath.Join(t.TempDir(), "stompbox.yaml")
			require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
			secret := "STOMPBOX_AUTH_JWT_SECRET=a phrase of this test alone, and long enough"
			p := serve(t, []string{secret}, "-c", file)
			shell := exec.Command("bash", "-c", inContainer+commands)
			shell.Dir = t.TempDir()
			shell.Env = append(os.Environ(), "TEST_AS_STOMPBOX=1", "BINARY="+os.Args[0], "URL=ws://"+p.http+"/ws", secret)
			said, err := shell.CombinedOutput()
			require.NoError(t, err, "%s", said)
			require.Contains(t, string(said), output)
			p.stop(t)
		})
	}
}
