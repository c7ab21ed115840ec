package test_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

const (
	maxMethods = 40 // of one type
	maxFiles   = 5  // that the methods of one type stand in
)

// TestTypesStaySmall: no type but Session, whose methods are the frames of a protocol,
// grows into one that does everything.
func TestTypesStaySmall(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	methods := make(map[string]int)
	files := make(map[string]map[string]bool)
	err := local.WalkSources(root, ".go", func(path string) error {
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range source.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			receiver := f.Recv.List[0].Type
			if pointer, ok := receiver.(*ast.StarExpr); ok {
				receiver = pointer.X
			}
			if name, ok := receiver.(*ast.Ident); ok {
				key := filepath.ToSlash(filepath.Dir(path))[len("../../"):] + "." + name.Name
				methods[key]++
				if files[key] == nil {
					files[key] = make(map[string]bool)
				}
				files[key][path] = true
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Positive(t, methods["broker.Broker"], "the types were not found")
	for name, n := range methods {
		if name == "broker.Session" {
			continue
		}
		assert.LessOrEqual(t, n, maxMethods, "%s has too many methods: give some of them a type of their own", name)
		assert.LessOrEqual(t, len(files[name]), maxFiles, "the methods of %s are spread over too many files", name)
	}
}
