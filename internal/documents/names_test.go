package documents

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

var (
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
)

// TestNamedTestsExist: a promise that names its test has it.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	there := make(map[string]bool)
	err := local.WalkSources(root, "_test.go", func(path string) error {
		source, err := os.ReadFile(path)
		for _, found := range testFunction.FindAllStringSubmatch(string(source), -1) {
			there[found[1]] = true
		}
		return err
	})
	require.NoError(t, err)
	require.Greater(t, len(there), 300, "the tests were not found")
	named := 0
	for _, file := range documents(t) {
		for _, found := range namedTest.FindAllStringSubmatch(read(t, file), -1) {
			require.True(t, there[found[1]], "%s names %s, which is no test", file, found[1])
			named++
		}
	}
	require.Greater(t, named, 100, "the documents name no tests")
}
