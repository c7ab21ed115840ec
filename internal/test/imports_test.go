package test_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/stompbox/stompbox"

// floors are the packages of the module from the top. Each imports those of lower floors
// alone, so none of its own.
var floors = [][]string{
	{"cmd/stompbox", "internal/bench/peers", "examples/...", "internal/abuse", "internal/chaos", "internal/documents", "internal/test", "broker/driver/drivertest", "deploy/..."},
	{"internal/doctor", "internal/bench", "internal/top"},
	{"internal/config", "internal/tracing"},
	{"metrics"},
	{"webhook", "gateway"},
	{"relay", "httpapi"},
	{"internal/problem", "internal/jsonmessage"},
	{"broker"},
	{"broker/driver", "broker/admin", "broker/trace"},
	{"internal/credentials"},
	{"auth"},
	{"destination", "internal/codes"},
	{"frames", "internal/certfile", "internal/clientaddr", "internal/console", "internal/fairslots", "internal/fairturns", "internal/hangups", "internal/histogram", "internal/listening", "internal/logattr", "internal/memlimit", "internal/openfiles", "internal/printable", "internal/sdnotify", "internal/test/local", "internal/trim"},
}

// floorOf returns the index of a package's floor, which grows downwards, or -1.
func floorOf(path string) int {
	for i, floor := range floors {
		for _, pattern := range floor {
			prefix, tree := strings.CutSuffix(pattern, "...")
			if path == pattern || tree && strings.HasPrefix(path, prefix) {
				return i
			}
		}
	}
	return -1
}

func TestNoImportRunsUpwards(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	output, err := list.Output()
	require.NoError(t, err)
	packages := json.NewDecoder(strings.NewReader(string(output)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := packages.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		floor := floorOf(path)
		if floor < 0 {
			t.Errorf("%s is on no floor; give it one", path)
			continue
		}
		for _, imported := range p.Imports {
			lower, ours := strings.CutPrefix(imported, module+"/")
			if ours && floorOf(lower) <= floor {
				t.Errorf("%s imports %s, which is not on a lower floor", path, lower)
			}
		}
		seen++
	}
	require.Greater(t, seen, 10)
}
