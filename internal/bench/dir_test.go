//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFoldersOfDeadBenchmarksAreRemoved, and no others: a lock ends with its last process.
func TestFoldersOfDeadBenchmarksAreRemoved(t *testing.T) {
	temp, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	open := func() *Dir {
		d, err := NewDir()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(d.Path, "store"), []byte("x"), 0o600))
		return d
	}
	dead, inUse := open(), open()
	require.NoError(t, dead.Lock.Close())
	unlocked := filepath.Join(temp, dirPrefix+"-of-others")
	require.NoError(t, os.Mkdir(unlocked, 0o700))
	other := filepath.Join(temp, "another")
	require.NoError(t, os.Mkdir(other, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(other, dirLock), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, dirLock), nil, 0o600))
	link := filepath.Join(temp, dirPrefix+"-link")
	require.NoError(t, os.Symlink(elsewhere, link))

	next := open()
	require.NoDirExists(t, dead.Path)
	for _, path := range []string{inUse.Path, unlocked, other, filepath.Join(elsewhere, dirLock), link, next.Path} {
		_, err := os.Lstat(path)
		require.NoError(t, err)
	}
	for _, d := range []*Dir{inUse, next} {
		require.NoError(t, d.Remove())
		require.NoDirExists(t, d.Path)
	}
}
