package test_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// matches returns what an expression's only group finds in files.
func matches(t *testing.T, expression, pattern string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	found := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = file
		}
	}
	return found
}

func TestErrorCodesAreDocumented(t *testing.T) {
	t.Parallel()
	const definition = `(?m)^\s*Code\w+\s+Code\s*=\s*"([a-z-]+)"`
	codes := matches(t, definition, "../../broker/*.go")
	for code, file := range matches(t, definition, "../../frames/*.go") {
		codes[code] = file
	}
	require.Greater(t, len(codes), 30)
	documented := matches(t, "`([a-z-]+)`", "../../docs/errors.md")
	for code, file := range matches(t, "(?m)^\\| `([a-z-]+)` \\|", "../../docs/app-servers.md") {
		documented[code] = file // in place of an answer
	}
	for code, file := range codes {
		require.Contains(t, documented, code, "%s defines it", file)
	}
	for code, file := range matches(t, "ERROR `([a-z-]+)`", "../../docs/*.md") {
		require.Contains(t, codes, code, "%s names it", file)
	}
}
