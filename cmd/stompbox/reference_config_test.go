package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/webhook"
)

// TestReferenceOfConfiguration: keys and defaults are those of config.Config, the text is
// the comments of stompbox.example.yaml.
func TestReferenceOfConfiguration(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../stompbox.example.yaml")
	require.NoError(t, err)
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(text, &document))
	comments := make(map[string]string)
	collectComments(document.Content[0], "", comments)

	empty := t.TempDir() + "/empty.yaml"
	require.NoError(t, os.WriteFile(empty, []byte("{}"), 0o600))
	defaults, err := config.Load(config.Source{File: empty, Client: true, Environ: []string{}})
	require.NoError(t, err)

	var out strings.Builder
	typ, value := reflect.TypeOf(*defaults), reflect.ValueOf(*defaults)
	var single []string
	for i := range typ.NumField() {
		key := typ.Field(i).Tag.Get("mapstructure")
		if typ.Field(i).Type.Kind() != reflect.Struct {
			single = append(single, keyRow(t, key, value.Field(i), comments))
			continue
		}
		fmt.Fprintf(&out, "\n## %s\n\n", key)
		if text := comments[key]; text != "" {
			out.WriteString(tableText(text) + "\n\n")
		}
		out.WriteString("| key | default | |\n|---|---|---|\n")
		for _, row := range keyRows(t, key, value.Field(i), comments) {
			out.WriteString(row)
		}
	}
	top := "| key | default | |\n|---|---|---|\n" + strings.Join(single, "")
	requirePart(t, "configuration.md", "the keys", top+out.String())
}

// collectComments finds the text of each key: what is above it, and what is behind it.
func collectComments(node *yaml.Node, path string, all map[string]string) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			name := path + key.Value
			var parts []string
			for _, comment := range []string{key.HeadComment, key.LineComment, value.LineComment, value.HeadComment} {
				// An empty line separates what is said of the section.
				if at := strings.LastIndex(comment, "\n\n"); at >= 0 {
					comment = comment[at+2:]
				}
				if text := plainComment(comment); text != "" {
					parts = append(parts, text)
				}
			}
			if all[name] == "" {
				all[name] = strings.Join(parts, " ")
			}
			collectComments(value, name+".", all)
		}
	case yaml.SequenceNode:
		for _, item := range node.Content {
			collectComments(item, strings.TrimSuffix(path, ".")+"[].", all)
		}
	}
}

func plainComment(comment string) string {
	var lines []string
	for _, line := range strings.Split(comment, "\n") {
		lines = append(lines, strings.TrimSpace(strings.TrimPrefix(line, "#")))
	}
	return strings.TrimSpace(strings.Join(lines, " "))
}

// keyRows returns the rows of a section's keys.
func keyRows(t *testing.T, path string, v reflect.Value, comments map[string]string) []string {
	t.Helper()
	var rows []string
	for i := range v.NumField() {
		key := path + "." + v.Type().Field(i).Tag.Get("mapstructure")
		field := v.Field(i)
		switch elem := field.Type(); {
		case elem.Kind() == reflect.Struct:
			rows = append(rows, keyRows(t, key, field, comments)...)
		case elem.Kind() == reflect.Slice && elem.Elem().Kind() == reflect.Struct:
			rows = append(rows, keyRow(t, key, field, comments))
			rows = append(rows, keyRows(t, key+"[]", reflect.Zero(elem.Elem()), comments)...)
		default:
			rows = append(rows, keyRow(t, key, field, comments))
		}
	}
	return rows
}

func keyRow(t *testing.T, key string, v reflect.Value, comments map[string]string) string {
	t.Helper()
	text, ok := keyTexts[key]
	if !ok {
		text = comments[key]
	}
	require.NotEmpty(t, text, "%s: say what it is for, in a comment of stompbox.example.yaml or in keyTexts", key)
	if of, ok := itemDefaults[key]; ok {
		v = reflect.ValueOf(of)
	}
	shown := ""
	if !v.IsZero() {
		shown = "`" + shownDefault(v) + "`"
	}
	text = tableText(text)
	if bounds := config.RangeText(key); bounds != "" {
		text += " " + bounds
	}
	return fmt.Sprintf("| `%s` | %s | %s |\n", key, shown, text)
}

// itemDefaults are those of a list's items, which are none of the configuration's own.
var itemDefaults = map[string]any{
	"app.webhooks[].timeout":   webhook.Options{}.WithDefaults().Timeout,
	"app.webhooks[].deadline":  webhook.Options{}.WithDefaults().Deadline,
	"app.webhooks[].in_flight": webhook.Options{}.WithDefaults().MaxInFlight,
}

// code finds what documents have as code: paths, keys and URLs.
var code = regexp.MustCompile("(`[^`]*`)|(\\bdocs/[\\w-]+\\.md\\b)|([a-z]*:?/+[a-z$][\\w./$<>*{}:-]*[\\w>*]|\\b[a-z]+(?:[._][a-z]+)+\\b|/\\*\\*|\"\\*\"|\\*+)")

// tableText is a comment as a cell of a table has it: a sentence.
func tableText(text string) string {
	text = code.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(found, "`") {
			return found
		}
		if page, ok := strings.CutPrefix(found, "docs/"); ok {
			return "[" + page + "](" + page + ")"
		}
		return "`" + found + "`"
	})
	if text != "" && !strings.HasSuffix(text, ".") {
		text += "."
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func shownDefault(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		text := d.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	}
	if v.Kind() == reflect.Slice {
		return strings.ReplaceAll(strings.Trim(fmt.Sprint(v.Interface()), "[]"), " ", "`, `")
	}
	return fmt.Sprint(v.Interface())
}
