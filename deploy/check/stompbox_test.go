package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(withBinary(m)) }

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stompbox-check")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "stompbox")
	build := exec.Command("go", "build", "-o", binary, "./cmd/stompbox")
	build.Dir, build.Stderr = "../..", os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	return m.Run()
}

// stompboxAccepts has config check read a file and variables, in which nothing is without effect.
func stompboxAccepts(t *testing.T, name, config string, env []string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "stompbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	cmd := exec.Command(binary, "config", "check")
	cmd.Dir, cmd.Env = dir, append(env, "PATH="+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s\n%s", name, out, config)
	require.NotContains(t, string(out), "warning", "%s\n%s", name, config)
}
