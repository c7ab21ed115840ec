package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/codes"
)

// docs is where the documents are, as tests see it.
const docs = "../../docs"

// updateDocs writes what is made from the source, rather than compare it: make docs.
var updateDocs = os.Getenv("UPDATE_DOCS") != ""

// requirePart wants the part of a document between its two marks to be text.
func requirePart(t *testing.T, file, part, text string) {
	t.Helper()
	path := filepath.Join(docs, file)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	begin := "<!-- made by make docs: " + part + " -->\n"
	end := "<!-- end of " + part + " -->"
	before, rest, ok := strings.Cut(string(content), begin)
	require.True(t, ok, "%s has no line %s", file, begin)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "%s has no line %s", file, end)
	made := before + begin + "\n" + strings.Trim(text, "\n") + "\n\n" + end + after
	if updateDocs {
		require.NoError(t, os.WriteFile(path, []byte(made), 0o644))
		return
	}
	require.Equal(t, made, string(content), "%s is not what the source says; run make docs", file)
}

var retries = map[codes.Retry]string{codes.Never: "no", codes.Later: "yes", codes.Fresh: "with a fresh token"}

func TestReferenceOfErrors(t *testing.T) {
	t.Parallel()
	var table, all strings.Builder
	table.WriteString("| code | close | HTTP | try again? |\n|---|---|---|---|\n")
	for _, group := range codes.Table {
		fmt.Fprintf(&all, "\n## %s\n\n", group.Title)
		if group.Text != "" {
			all.WriteString(group.Text + "\n\n")
		}
		for _, e := range group.Entries {
			fmt.Fprintf(&table, "| [`%s`](#%s) | %s | %s | %s |\n", e.Code, e.Code, number(e.Close), number(e.Status), retries[e.Retry])
			fmt.Fprintf(&all, "### %s\n\n%s\n\n%s\n\n", e.Code, e.Cause, e.Remedy)
		}
	}
	requirePart(t, "errors.md", "the table of codes", table.String())
	requirePart(t, "errors.md", "each code", all.String())
}

// number is n, or nothing where it is 0.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
