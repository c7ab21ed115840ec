package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// openAPI is what the reference needs of httpapi/openapi.json, which httpapi's own tests
// compare with what the API answers.
type openAPI struct {
	Paths map[string]map[string]struct {
		Summary, Description string
		Parameters           []struct{ Name, In, Description string }
		Responses            map[string]json.RawMessage
	}
}

// TestReferenceOfHTTP has the table of docs/http-api.md made from the OpenAPI document.
func TestReferenceOfHTTP(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../httpapi/openapi.json")
	require.NoError(t, err)
	var document openAPI
	require.NoError(t, json.Unmarshal(text, &document))
	var out strings.Builder
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(document.Paths[path])) {
			operation := document.Paths[path][method]
			fmt.Fprintf(&out, "\n### %s %s\n\n%s", strings.ToUpper(method), path, tableText(operation.Summary))
			if operation.Description != "" {
				out.WriteString(" " + tableText(operation.Description))
			}
			fmt.Fprintf(&out, " Answers: %s.\n", strings.Join(slices.Sorted(maps.Keys(operation.Responses)), ", "))
			if len(operation.Parameters) > 0 {
				out.WriteString("\n| parameter | in | |\n|---|---|---|\n")
			}
			for _, p := range operation.Parameters {
				description := ""
				if p.Description != "" {
					description = tableText(p.Description)
				}
				fmt.Fprintf(&out, "| `%s` | %s | %s |\n", p.Name, p.In, description)
			}
		}
	}
	requirePart(t, "http-api.md", "each request", out.String())
}
