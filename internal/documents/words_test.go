package documents

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

// words are those that nothing that people read uses, with what it uses in their place.
var words = map[string]string{
	"octets?": "byte", "anew": "again, recreated", "nobody": "no client, no user, none", "somebody": "a client, an operator",
	"whom": "(say it in two sentences)", "told": "notified, reported", "hears": "receives, gets", "mended": "fixed",
	"comings and goings": "join and leave events", "one (may|sees)": "you may, you see", "farewell": "close frame",
	"takes? turns": "round-robin", "in the way of": "like",
	"whoever": "any client that", "beside": "next to, in addition to, compared with",
	"for ever": "forever", "but for": "except for", "without a word": "silently", "takes? part in": "is in, joins", "in earnest": "in production",
	// A relative clause whose noun is missing.
	"(to|for|of|with|by|from|than|as|at|on|tells?|asks?) who (comes|is|are|was|has|had|have|asks?|gets?|wants?|waits?|sends?|serves?|reads?|may|does|can|joins|subscribes)": "the client that, a user who",
}

var wordPatterns = func() map[*regexp.Regexp]string {
	all := make(map[*regexp.Regexp]string, len(words))
	for word, better := range words {
		word = strings.ReplaceAll(word, " ", `\s+`) // the line may end between two words
		all[regexp.MustCompile(`(?i)\b`+word+`\b`)] = better
	}
	return all
}()

// checkWords reports the words in a text that begins at a line of a file.
func checkWords(t *testing.T, file string, line int, text string) {
	t.Helper()
	text = namesOfOthers.ReplaceAllString(text, "")
	for pattern, better := range wordPatterns {
		for _, at := range pattern.FindAllStringIndex(text, -1) {
			t.Errorf("%s:%d: %q; better: %s", file, line+strings.Count(text[:at[0]], "\n"), text[at[0]:at[1]], better)
		}
	}
}

// namesOfOthers are names of tests and of a media type, which are no sentences.
var namesOfOthers = regexp.MustCompile("`Test\\w+`|application/octet-stream")

// testNames are names of tests.
var testNames = regexp.MustCompile("`Test\\w+`")

// TestWordsAreThoseOfTheField: plain words, for readers whose first language is another.
func TestWordsAreThoseOfTheField(t *testing.T) {
	t.Parallel()
	files := append(documents(t), "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md", "stompbox.example.yaml", "internal/bench/peers/page.md")
	for _, file := range files {
		text := fenced.ReplaceAllStringFunc(read(t, file), func(block string) string { return strings.Repeat("\n", strings.Count(block, "\n")) })
		checkWords(t, file, 1, text)
	}
}

// TestWordsOfGoAreThoseOfTheField: comments, and texts of the log, of errors and of the help.
func TestWordsOfGoAreThoseOfTheField(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	checked := 0
	err := local.WalkSources(root, ".go", func(path string) error {
		if filepath.Base(path) == "words_test.go" {
			return nil // which has the words
		}
		parsed, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		name := relativeTo(t, path)
		for _, group := range parsed.Comments {
			checkWords(t, name, files.Position(group.Pos()).Line, group.Text())
			checked++
		}
		if strings.HasSuffix(path, "_test.go") {
			return nil // its texts are read by programs
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			text, ok := n.(*ast.BasicLit)
			if ok && text.Kind == token.STRING {
				value, err := strconv.Unquote(text.Value)
				require.NoError(t, err)
				checkWords(t, name, files.Position(text.Pos()).Line, value)
				checked++
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, checked, 5000, "the sources were not found")
}

// TestWordsOfDescriptionsAreThoseOfTheField: those of the HTTP API, of the schemas and of the dashboard.
func TestWordsOfDescriptionsAreThoseOfTheField(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"httpapi/openapi.json", "internal/config/schema.json", "deploy/helm/stompbox/values.schema.json", "deploy/grafana/stompbox.json"} {
		var document any
		require.NoError(t, json.Unmarshal([]byte(read(t, file)), &document), file)
		for _, text := range textsOf(document) {
			checkWords(t, file+" in "+text, 1, text)
		}
	}
}

// textsOf are the strings in a document of JSON.
func textsOf(value any) (texts []string) {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		for _, v := range value {
			texts = append(texts, textsOf(v)...)
		}
	case map[string]any:
		for _, v := range value {
			texts = append(texts, textsOf(v)...)
		}
	}
	return texts
}

// commentStarts are what a comment to the end of its line begins with. HTML is read as a whole.
var commentStarts = map[string]string{
	".js": "//", ".mjs": "//", ".ts": "//", ".tsx": "//", ".java": "//", ".py": "#", ".sh": "#", ".yaml": "#", ".toml": "#",
	".service": "#", ".default": "#", "Makefile": "#", ".html": "",
}

// TestWordsOfOtherFilesAreThoseOfTheField: comments in the configuration, in scripts and in
// sources in other languages, and pages.
func TestWordsOfOtherFilesAreThoseOfTheField(t *testing.T) {
	t.Parallel()
	checked := make(map[string]int)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{"node_modules", ".venv", "bin", "dist", "target"}, entry.Name()) || len(entry.Name()) > 2 && entry.Name()[0] == '.' {
				return filepath.SkipDir
			}
			return nil
		}
		kind := filepath.Ext(path)
		if kind == "" {
			kind = entry.Name()
		}
		start, ok := commentStarts[kind]
		if !ok {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if start != "" {
				before, comment, found := strings.Cut(line, start)
				if !found || before != "" && !strings.HasSuffix(before, " ") {
					continue
				}
				line = comment
			}
			checkWords(t, relativeTo(t, path), i+1, line)
		}
		checked[kind]++
		return nil
	})
	require.NoError(t, err)
	for _, kind := range []string{".js", ".mjs", ".java", ".py", ".sh", ".yaml", ".service", "Makefile", ".html"} {
		require.NotZero(t, checked[kind], "no file of %s was found", kind)
	}
}

func relativeTo(t *testing.T, path string) string {
	t.Helper()
	name, err := filepath.Rel(root, path)
	require.NoError(t, err)
	return filepath.ToSlash(name)
}
