package documents

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the checkout, as tests see it.
const root = "../.."

// block is a fenced block of a document.
type block struct {
	file     string // below root
	line     int
	language string
	mark     string // the comment above it, such as run: start
	text     string
	output   string // of the text block that follows, or ""
	// interrupts are terminals in which Ctrl-C is pressed before.
	interrupts []string
}

// documents are the files whose blocks have to run.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "examples/README.md", "examples/*/README.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		all = append(all, files...)
	}
	for i, file := range all {
		name, err := filepath.Rel(root, file)
		require.NoError(t, err)
		all[i] = filepath.ToSlash(name)
	}
	require.NotEmpty(t, all)
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	return string(text)
}

var comment = regexp.MustCompile(`^<!-- (.*) -->$`)

// blocksOf returns the fenced blocks of a document.
func blocksOf(t *testing.T, file string) []*block {
	t.Helper()
	var all []*block
	var current *block
	mark, indent := "", ""
	var interrupts []string
	for i, line := range strings.Split(read(t, file), "\n") {
		fence := strings.TrimLeft(line, " ")
		switch {
		case current == nil && strings.HasPrefix(fence, "```"):
			indent = line[:len(line)-len(fence)]
			current = &block{file: file, line: i + 1, language: strings.TrimPrefix(fence, "```"), mark: mark, interrupts: interrupts}
			mark, interrupts = "", nil
		case current != nil && strings.TrimSpace(line) == "```":
			if current.language == "text" && current.mark == "" && len(all) > 0 && all[len(all)-1].output == "" {
				all[len(all)-1].output = current.text
			}
			all = append(all, current)
			current = nil
		case current != nil:
			current.text += strings.TrimPrefix(line, indent) + "\n"
		case comment.MatchString(strings.TrimSpace(line)):
			mark = comment.FindStringSubmatch(strings.TrimSpace(line))[1]
			if _, terminal, ok := strings.Cut(mark, ", "); ok && strings.HasPrefix(mark, "interrupt: ") {
				interrupts = append(interrupts, terminal)
			}
		case strings.TrimSpace(line) != "":
			mark = ""
		}
	}
	require.Nil(t, current, "%s: a block has no end", file)
	return all
}

// allBlocks returns the blocks of all documents in the given languages.
func allBlocks(t *testing.T, languages ...string) []*block {
	t.Helper()
	var all []*block
	for _, file := range documents(t) {
		for _, b := range blocksOf(t, file) {
			if slices.Contains(languages, b.language) {
				all = append(all, b)
			}
		}
	}
	return all
}

// skipped reports whether a block says why it is not run.
func (b *block) skipped() bool { return strings.HasPrefix(b.mark, "not run: ") }

// languages are those that blocks may have, so that each has its check.
var languages = []string{"sh", "yaml", "json", "go", "js", "ts", "html", "java", "xml", "python", "text", "mermaid", "nginx", "caddyfile", "haproxy", "ini"}

func TestEachBlockHasALanguage(t *testing.T) {
	t.Parallel()
	for _, file := range documents(t) {
		for _, b := range blocksOf(t, file) {
			require.Contains(t, languages, b.language, "%s:%d", b.file, b.line)
		}
	}
}

// TestEachExampleHasAREADME: with its commands and their output. Those that install packages
// have their versions locked.
func TestEachExampleHasAREADME(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob(filepath.Join(root, "examples", "*", "*"))
	require.NoError(t, err)
	contents := read(t, "examples/README.md")
	checked := make(map[string]bool)
	for _, file := range folders {
		name := filepath.Base(filepath.Dir(file))
		require.FileExists(t, filepath.Join(root, "examples", name, "README.md"))
		require.Contains(t, contents, "("+name+"/README.md)", "examples/README.md has to link to it")
		if filepath.Base(file) == "package.json" {
			require.FileExists(t, filepath.Join(root, "examples", name, "package-lock.json"), "npm ci needs it")
		}
		checked[name] = true
	}
	require.Greater(t, len(checked), 14, "the examples were not found")
	for name := range checked {
		output := 0
		for _, b := range blocksOf(t, "examples/"+name+"/README.md") {
			if b.language == "text" {
				output++
			}
		}
		require.Positive(t, output, "examples/%s/README.md shows no output", name)
	}
}

// TestBlocksOfProgramsNameTheirTest: each is run, or at least compiled. Shell, Go, YAML, JSON
// and XML are found by the tests here.
func TestBlocksOfProgramsNameTheirTest(t *testing.T) {
	t.Parallel()
	blocks := allBlocks(t, "js", "ts", "java", "python", "html", "nginx", "caddyfile", "haproxy", "ini")
	require.Greater(t, len(blocks), 20, "the blocks were not found")
	for _, b := range blocks {
		known := strings.HasPrefix(b.mark, "test: ") || strings.HasPrefix(b.mark, "file: ")
		require.True(t, known, "%s:%d: say <!-- test: name --> above the block, not %q", b.file, b.line, b.mark)
	}
}
