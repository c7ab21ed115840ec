package documents

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchorsOf returns the anchors of a document, as GitHub and the site make them.
func anchorsOf(t *testing.T, file string) map[string]bool {
	t.Helper()
	anchors := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, file), ""), -1) {
		text := strings.ToLower(strings.ReplaceAll(m[1], "`", ""))
		anchors[strings.ReplaceAll(dropped.ReplaceAllString(text, ""), " ", "-")] = true
	}
	return anchors
}

// TestLinksLeadSomewhere: files and anchors of this repository.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	files := append(documents(t), "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md")
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, file), ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				const own = "https://github.com/stompbox/stompbox/"
				rest, ok := strings.CutPrefix(target, own)
				if ok = ok && strings.Contains(rest, "/main/"); !ok {
					continue
				}
				_, rest, _ = strings.Cut(rest, "/main/")
				_, err := os.Stat(filepath.Join(root, rest))
				require.NoError(t, err, "%s links to %s", file, m[1])
				continue
			}
			if target == "" {
				target = file
			} else {
				target = path.Join(path.Dir(file), target)
			}
			_, err := os.Stat(filepath.Join(root, target))
			require.NoError(t, err, "%s links to %s", file, m[1])
			if anchor != "" && strings.HasSuffix(target, ".md") {
				require.True(t, anchorsOf(t, target)[anchor], "%s links to %s, which has no such heading", file, m[1])
			}
		}
	}
}

// TestEachPageIsInTheTableOfContents: nothing is written that cannot be found.
func TestEachPageIsInTheTableOfContents(t *testing.T) {
	t.Parallel()
	contents := read(t, "docs/README.md")
	for _, file := range documents(t) {
		if name, ok := strings.CutPrefix(file, "docs/"); ok && name != "README.md" {
			require.Contains(t, contents, "("+name, "docs/README.md has to link to it")
		}
	}
}

// TestTestsThatDocumentsNameAreThere: a promise is worth its test.
func TestTestsThatDocumentsNameAreThere(t *testing.T) {
	t.Parallel()
	var tests strings.Builder
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, "Test.java") {
			return err
		}
		text, err := os.ReadFile(path)
		tests.Write(text)
		return err
	})
	require.NoError(t, err)
	all := tests.String()
	for _, file := range documents(t) {
		for _, name := range testNames.FindAllString(read(t, file), -1) {
			require.Contains(t, all, "func "+strings.Trim(name, "`")+"(", "%s names it", file)
		}
		for _, b := range blocksOf(t, file) {
			if name, ok := strings.CutPrefix(b.mark, "test: Test"); ok {
				require.Contains(t, all, "func Test"+name+"(", "%s:%d names it", file, b.line)
			}
		}
		for _, name := range fuzzNames.FindAllString(read(t, file), -1) {
			require.Contains(t, all, "func "+strings.Trim(name, "`")+"(", "%s names it", file)
		}
	}
}

var fuzzNames = regexp.MustCompile("`Fuzz\\w+`")
