package test_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/codes"
	"github.com/stompbox/stompbox/internal/config"
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

// TestErrorCodesAreInTheTable: docs/errors.md is made from it.
func TestErrorCodesAreInTheTable(t *testing.T) {
	t.Parallel()
	const definition = `(?m)^\s*(?:const )?Code\w+\s+(?:broker\.)?(?:Code)?\s*=\s*"([a-z0-9-]+)"`
	defined := make(map[string]string)
	for _, files := range []string{"frames", "broker/driver", "broker", "internal/problem"} {
		for code, file := range matches(t, definition, "../../"+files+"/*.go") {
			defined[code] = file
		}
	}
	var listed []string
	for _, group := range codes.Table {
		for _, entry := range group.Entries {
			listed = append(listed, string(entry.Code))
			require.NotEmpty(t, entry.Cause, entry.Code)
			require.NotEmpty(t, entry.Remedy, entry.Code)
			require.NotEmpty(t, entry.Retry, entry.Code)
			require.False(t, entry.Close == 0 && entry.Status == 0 && !strings.Contains(entry.Cause, "The session goes on"), "%s ends nothing", entry.Code)
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(defined)), listed, "every code once")
	for code, file := range matches(t, "ERROR `([a-z-]+)`", "../../docs/*.md") {
		require.Contains(t, defined, code, "%s names it", file)
	}
}

// TestEachNameOfALimitIsDocumented: what the label limit of metrics can be is a key below limits, or
// in the list of docs/metrics.md, which has no other name.
func TestEachNameOfALimitIsDocumented(t *testing.T) {
	t.Parallel()
	var schema struct {
		Properties struct {
			Limits struct{ Properties map[string]any }
		}
	}
	require.NoError(t, json.Unmarshal(config.SchemaFile, &schema))
	keys := schema.Properties.Limits.Properties
	require.Greater(t, len(keys), 50)
	counted := make(map[string]string)
	for _, expression := range []string{
		`(?:CountLimit|\.count|tooMany)\("(\w+)"(?:\)|, limit)`, // outside of sessions
		`\.countLimit\(r, \w+, "(\w+)"\)`,                       // of requests
		`(?m)^\s*(?:const )?limit[A-Z]\w+\s*=\s*"(\w+)"`,        // those of quotas
		`e\.limit = "(\w+)"`,
		`\bCode\w+:\s*"([a-z_]+)"`, // limits that have an error of their own
	} {
		for _, files := range []string{"broker", "gateway", "httpapi", "webhook", "relay", "cmd/stompbox"} {
			maps.Copy(counted, matches(t, expression, root+"/"+files+"/*.go"))
		}
	}
	require.Greater(t, len(counted), 20, "%v", counted)
	list := matches(t, `(?s)- (.limit. is the name of the key.*?which \[limits\])`, root+"/docs/metrics.md")
	require.Len(t, list, 1)
	var listed []string
	for text := range list {
		_, text, _ = strings.Cut(text, "one of")
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(text, -1) {
			listed = append(listed, m[1])
		}
	}
	var others []string
	for name := range counted {
		if keys[name] == nil {
			others = append(others, name)
		}
	}
	require.ElementsMatch(t, others, listed, "counted: %v", counted)
}

const root = "../.."

// testNames returns the names of all tests in Go and Java.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	tests := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry != nil && (entry.Name() == "node_modules" || entry.Name() == ".venv" || entry.Name() == ".git") {
				return filepath.SkipDir
			}
			return err
		}
		switch {
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				tests[m[1]] = true
			}
		case strings.HasSuffix(path, "Test.java"):
			tests[strings.TrimSuffix(filepath.Base(path), ".java")] = true
		}
		return nil
	})
	require.NoError(t, err)
	return tests
}

// requireTest wants a test to be there that has a name, or a file below interop.
func requireTest(t *testing.T, tests map[string]bool, name string) {
	t.Helper()
	if strings.HasPrefix(name, "interop/") {
		_, err := os.Stat(filepath.Join(root, name))
		require.NoError(t, err)
		return
	}
	require.True(t, tests[name], "there is no %s", name)
}

// TestEachPromiseNamesItsTest: docs/guarantees.md names a test for each promise, and all
// that it names are there.
func TestEachPromiseNamesItsTest(t *testing.T) {
	t.Parallel()
	tests := testNames(t)
	text, err := os.ReadFile(root + "/docs/guarantees.md")
	require.NoError(t, err)
	names := regexp.MustCompile("`(Test\\w+|\\w+Test|interop/[^`]+)`")
	promises := 0
	for line := range strings.Lines(string(text)) {
		named := names.FindAllStringSubmatch(line, -1)
		for _, m := range named {
			requireTest(t, tests, m[1])
		}
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| promise |") {
			promises++
			require.NotEmpty(t, named, "a promise without a test: %s", line)
		}
	}
	require.Greater(t, promises, 80)
}
