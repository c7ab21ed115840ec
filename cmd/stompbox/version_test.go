package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersionFallsBackToWhatTheToolchainRecorded(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123abcd"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	require.Equal(t, build{Version: "v1.2.3", Commit: "0123abcd", Date: "2026-01-02T03:04:05Z", Modified: true, Go: runtime.Version(), Platform: platform}, buildOf(info))
	require.Equal(t, build{Version: "(devel)", Go: runtime.Version(), Platform: platform}, buildOf(nil))

	var text strings.Builder
	require.NoError(t, buildOf(info).print(&text))
	require.Equal(t, "stompbox v1.2.3\ncommit   0123abcd, with changes that are not committed\ndate     2026-01-02T03:04:05Z\ngo       "+runtime.Version()+"\nplatform "+platform+"\n", text.String())
}

// TestTheLinkerNamesARelease builds the program as a release is built.
func TestTheLinkerNamesARelease(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "stompbox")
	flags := "-X main.releaseVersion=v9.8.7 -X main.releaseCommit=feedbeef -X main.releaseDate=2026-05-06T07:08:09Z"
	out, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags", flags, "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(out))

	out, err = exec.Command(binary, "version", "--json").Output()
	require.NoError(t, err)
	var got build
	require.NoError(t, json.Unmarshal(out, &got))
	require.Equal(t, build{Version: "v9.8.7", Commit: "feedbeef", Date: "2026-05-06T07:08:09Z", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}, got)

	out, err = exec.Command(binary, "--version").Output()
	require.NoError(t, err)
	require.Equal(t, "stompbox version v9.8.7\n", string(out))
}
