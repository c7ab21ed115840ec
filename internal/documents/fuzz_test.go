package documents

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	fuzzFunc   = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	fuzzTarget = regexp.MustCompile(`(?m)^\tgo test .*?\./(\S+) .*-fuzz '\^(Fuzz\w+)\$\$'`)
)

// TestMakeFuzzRunsEachFuzzTest of the tree, and no other.
func TestMakeFuzzRunsEachFuzzTest(t *testing.T) {
	t.Parallel()
	var written, run []string
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		for _, found := range fuzzFunc.FindAllStringSubmatch(string(text), -1) {
			written = append(written, filepath.ToSlash(folder)+" "+found[1])
		}
		return err
	}))
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for _, found := range fuzzTarget.FindAllStringSubmatch(string(makefile), -1) {
		run = append(run, found[1]+" "+found[2])
	}
	require.NotEmpty(t, written)
	require.ElementsMatch(t, written, run)
}
