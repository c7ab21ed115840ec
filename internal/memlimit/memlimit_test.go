package memlimit

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheLeastLimitCounts(t *testing.T) {
	t.Parallel()
	const mem = "MemFree: 1 kB\nMemTotal:       1048576 kB\n"
	for name, c := range map[string]struct {
		files  map[string]string
		chosen int64 // GOMEMLIMIT, or 0
		want   int64
		set    int64 // what Go is given, or 0
	}{
		"nothing is known":        {nil, 0, 0, 0},
		"a machine":               {map[string]string{"proc/meminfo": mem, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0, 1 << 30, 0},
		"a container":             {map[string]string{"proc/meminfo": mem, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n"}, 0, 1000, 900},
		"the group above":         {map[string]string{"proc/meminfo": mem, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1000\n", "sys/fs/cgroup/a/b/memory.max": "2000\n"}, 0, 1000, 900},
		"a path outside":          {map[string]string{"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "1000\n"}, 0, 1000, 900},
		"version 1":               {map[string]string{"proc/self/cgroup": "3:cpu:/c\n2:hugetlb,memory:/c\n", "sys/fs/cgroup/memory/c/memory.limit_in_bytes": "1000\n"}, 0, 1000, 900},
		"GOMEMLIMIT is less":      {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n"}, 500, 500, 0},
		"GOMEMLIMIT is more":      {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n"}, 5000, 1000, 0},
		"GOMEMLIMIT alone":        {nil, 500, 500, 0},
		"what cannot be a limit":  {map[string]string{"proc/self/cgroup": "0::/\nx\n", "sys/fs/cgroup/memory.max": "-5\n", "proc/meminfo": "MemTotal: x kB\n"}, 0, 0, 0},
		"the limit of a machine ": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "2147483648\n", "proc/meminfo": mem}, 0, 1 << 30, 1932735283},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			file = filepath.Join(root, file)
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		}
		var given int64
		got := set(root, c.chosen > 0, func(limit int64) int64 {
			if limit < 0 {
				return c.chosen
			}
			given = limit
			return math.MaxInt64
		})
		require.Equal(t, c.want, got, name)
		require.Equal(t, c.set, given, name)
	}
}
