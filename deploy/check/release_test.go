package check

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// packageSpec is what nfpm.yaml and an entry of nfpms in .goreleaser.yaml both say.
type packageSpec struct {
	Section, Priority, Maintainer, Description, Vendor, Homepage, License string
	Contents                                                              []map[string]any
	Scripts                                                               map[string]string
	Deb                                                                   map[string]any
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, into))
}

// TestReleasesMakeThePackagesThatAreTested compares GoReleaser's packages with those of
// `make package`, which are installed in a test.
func TestReleasesMakeThePackagesThatAreTested(t *testing.T) {
	var tested packageSpec
	readYAML(t, "../package/nfpm.yaml", &tested)
	var release struct{ NFPMs []packageSpec }
	readYAML(t, "../../.goreleaser.yaml", &release)
	require.Len(t, release.NFPMs, 1)
	// GoReleaser adds the program itself.
	require.Equal(t, "/usr/bin/stompbox", tested.Contents[0]["dst"])
	tested.Contents = tested.Contents[1:]
	require.Equal(t, tested, release.NFPMs[0])
	for _, script := range tested.Scripts {
		require.FileExists(t, "../../"+script)
	}
}

// TestReleasesPinTheToolsOfThePackages: both make SBOMs with one version of one tool.
func TestReleasesPinTheToolsOfThePackages(t *testing.T) {
	var release struct{ SBOMs []struct{ Args []string } }
	readYAML(t, "../../.goreleaser.yaml", &release)
	script, err := os.ReadFile("../package/build.sh")
	require.NoError(t, err)
	require.Contains(t, string(script), "cyclonedx="+release.SBOMs[0].Args[1]+"\n")
}

func TestShellScriptsParse(t *testing.T) {
	files, err := filepath.Glob("../*/*.sh")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		shebang, _, err := bufio.NewReader(bytes.NewReader(text)).ReadLine()
		require.NoError(t, err)
		shell := "sh"
		if strings.HasSuffix(string(shebang), "bash") {
			shell = "bash"
		}
		out, err := exec.Command(shell, "-n", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}
