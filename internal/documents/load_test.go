package documents

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

// TestYAMLBlocksAreConfigurations loads each as serve would, except for the files that they name.
func TestYAMLBlocksAreConfigurations(t *testing.T) {
	t.Parallel()
	for _, b := range allBlocks(t, "yaml") {
		if b.skipped() {
			continue
		}
		t.Run(b.file+":"+strconv.Itoa(b.line), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "stompbox.yaml")
			text := namedFiles.ReplaceAllStringFunc(b.text, func(found string) string {
				parts := namedFiles.FindStringSubmatch(found)
				path := filepath.Join(filepath.Dir(file), filepath.Base(parts[2]))
				require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("k4", 40)+filepath.Base(parts[2])), 0o600))
				return parts[1] + path
			})
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			_, err := config.Load(config.Source{File: file, Client: true, Environ: []string{}})
			require.NoError(t, err, "%s", b.text)
		})
	}
}

// namedFiles are secrets that a configuration reads from files.
var namedFiles = regexp.MustCompile(`(secret_file: |token_file: |password_file: )([\w./-]+)`)

func TestJSONBlocksAreJSON(t *testing.T) {
	t.Parallel()
	for _, b := range allBlocks(t, "json") {
		decoder := json.NewDecoder(strings.NewReader(b.text))
		for {
			var value any
			err := decoder.Decode(&value)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, "%s:%d", b.file, b.line)
		}
	}
}

func TestXMLBlocksAreXML(t *testing.T) {
	t.Parallel()
	for _, b := range allBlocks(t, "xml") {
		require.NoError(t, xml.Unmarshal([]byte(b.text), new(struct{})), "%s:%d", b.file, b.line)
	}
}

// TestGoBlocksCompile: whole files as they are, parts of one in a function that has what
// they speak of. All are vetted together.
func TestGoBlocksCompile(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles")
	}
	var packages []string
	folder, err := os.MkdirTemp(filepath.Join(root, "internal", "documents"), "tmp-go-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	for i, b := range allBlocks(t, "go") {
		if b.skipped() {
			continue
		}
		text := b.text
		if !strings.HasPrefix(text, "package ") {
			text = inFunction(t, b)
		}
		name := filepath.Join(folder, "block"+strconv.Itoa(i))
		require.NoError(t, os.Mkdir(name, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(name, "main.go"), []byte(text), 0o600))
		packages = append(packages, "./"+filepath.Base(name))
	}
	vet := exec.Command("go", append([]string{"vet"}, packages...)...)
	vet.Dir = folder
	said, err := vet.CombinedOutput()
	require.NoError(t, err, "%s", said)
}

// importsOf are the packages that parts of files may use, by name.
var importsOf = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "time": "time", "log": "log",
	"auth": module + "/auth", "broker": module + "/broker", "gateway": module + "/gateway", "relay": module + "/relay",
	"httpapi": module + "/httpapi", "webhook": module + "/webhook", "frames": module + "/frames",
	"nats": "github.com/nats-io/nats.go", "jwt": "github.com/golang-jwt/jwt/v5",
}

const module = "github.com/stompbox/stompbox"

// variablesOf are what parts of files speak of, by name.
var variablesOf = map[string]string{
	"b": "*broker.Broker", "nc": "*nats.Conn", "ctx": "context.Context", "body": "[]byte", "mux": "*http.ServeMux",
	"user": "string", "secret": "string", "wait": "time.Duration",
	"banned": "func(string) bool", "rude": "func([]byte) bool", "spam": "func([]byte) bool", "tenantOf": "func(*auth.Principal) string",
}

// inFunction makes a file of a part of one.
func inFunction(t *testing.T, b *block) string {
	t.Helper()
	text := b.text
	if strings.HasPrefix(strings.TrimSpace(text), "broker.") && !strings.Contains(strings.SplitN(text, "\n", 2)[0], ":=") {
		text = "_ = " + text // a value
	}
	const before = "package main\n\nfunc main() {}\n\nfunc part() {\n"
	parsed, err := parser.ParseFile(token.NewFileSet(), b.file, before+text+"\n}\n", 0)
	require.NoError(t, err, "%s:%d", b.file, b.line)
	var names, assigned []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			names = append(names, n.Name)
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
					assigned = append(assigned, id.Name)
				}
			}
		}
		return true
	})
	var out, variables bytes.Buffer
	types := ""
	for _, name := range slices.Sorted(mapKeys(variablesOf)) {
		if slices.Contains(names, name) && !slices.Contains(assigned, name) {
			variables.WriteString("\tvar " + name + " " + variablesOf[name] + "\n\t_ = " + name + "\n")
			types += " " + variablesOf[name]
		}
	}
	out.WriteString("package main\n\nimport (\n")
	for _, name := range slices.Sorted(mapKeys(importsOf)) {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(text + types) {
			out.WriteString("\t\"" + importsOf[name] + "\"\n")
		}
	}
	out.WriteString(")\n\nfunc main() {}\n\nfunc part() {\n" + variables.String() + text + "\n")
	for _, name := range assigned {
		if name != "_" && slices.Contains(topLevel(parsed), name) {
			out.WriteString("\t_ = " + name + "\n")
		}
	}
	out.WriteString("}\n\nvar _ = part\n")
	return out.String()
}

// topLevel are the names that the part itself declares, not its inner functions.
func topLevel(file *ast.File) []string {
	var names []string
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "part" {
			continue
		}
		for _, s := range f.Body.List {
			if a, ok := s.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
				for _, left := range a.Lhs {
					if id, ok := left.(*ast.Ident); ok {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	return names
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
