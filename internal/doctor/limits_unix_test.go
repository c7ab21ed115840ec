//go:build unix

package doctor

import (
	"math"
	"testing"
)

func TestOpenFilesAllowTheConnections(t *testing.T) {
	t.Parallel()
	for says, tt := range map[string]struct {
		hard        uint64
		connections int
		status      Status
	}{
		"soft limit 1024, hard limit 1048576": {1 << 20, 0, OK},
		"leaves room for 3584 connections":    {4096, 0, Warning},
		"leaves room for 43750 connections":   {50_000, 50_000, Failure},
		"soft limit 1024, hard limit 60000":   {60_000, 50_000, OK},
		"no limit":                            {math.MaxUint64, 50_000, OK},
	} {
		requireResult(t, []Result{openFiles(1024, tt.hard, tt.connections)}, "open files", tt.status, says)
	}
}
