//go:build linux

package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAFullDiskIsNamed, and not taken for a folder that belongs to another user.
func TestAFullDiskIsNamed(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k")
	if errors.Is(err, syscall.EPERM) {
		t.Skip("mounting a disk needs root")
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Unmount(disk, 0) })
	dir := filepath.Join(disk, "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.ErrorIs(t, os.WriteFile(filepath.Join(disk, "large"), make([]byte, 128<<10), 0o600), syscall.ENOSPC)
	for _, name := range []string{dir, filepath.Join(disk, "missing", "folder")} {
		results := checkDataDir(t.Context(), examine(t, "data_dir: "+name+"\n"))
		requireResult(t, results, "data_dir", Failure, "no space left on device")
		require.Contains(t, results[0].Remedy, "make room")
		requireResult(t, results, "disk", Failure, "has 0 bytes free")
	}
}
