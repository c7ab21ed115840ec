//go:build unix

package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMakeBenchGuardLeavesNothing when it is interrupted: neither its folder nor the worktree
// of git. Programs that only note what they are asked stand in for git and go.
func TestMakeBenchGuardLeavesNothing(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make")
	}
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		tools, temp := t.TempDir(), t.TempDir()
		program := func(name, text string) {
			require.NoError(t, os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+text), 0o755)) //nolint:gosec // it is run
		}
		program("git", `case "$2" in add) mkdir "$5" ;; remove) echo "$4" >`+tools+"/removed ;; esac\n")
		program("go", `case "$3" in bin/*) ;; *) touch `+tools+"/building; exec sleep 60 ;; esac\n")
		cmd := exec.Command("make", "-C", "../..", "bench-guard", "BASE=HEAD")
		cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "TMPDIR="+temp, "MAKEFLAGS=")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool {
			_, err := os.Stat(filepath.Join(tools, "building"))
			return err == nil
		}, 30*time.Second, 10*time.Millisecond)
		require.NoError(t, syscall.Kill(-cmd.Process.Pid, signal))
		require.Error(t, cmd.Wait())
		require.Eventually(t, func() bool {
			left, err := os.ReadDir(temp)
			return err == nil && len(left) == 0
		}, 30*time.Second, 10*time.Millisecond, "%v leaves a folder", signal)
		require.FileExists(t, filepath.Join(tools, "removed"), "%v", signal)
	}
}
