package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// misplaced is a value that its key cannot have.
type misplaced struct {
	text string
	line int
}

func (m *misplaced) Error() string { return m.text }
func (m *misplaced) at() int       { return m.line }

// octal matches whole numbers that YAML reads to the base of 8.
var octal = regexp.MustCompile(`^[-+]?0[0-9_]+$`)

// fits reports whether a node can be a value of the type t, and notes a fault if it cannot. The
// decoder would read a table where one value belongs, or nothing, as the default.
func (d *document) fits(n *yaml.Node, t reflect.Type, path string) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	why := ""
	isNull := n.Kind == yaml.ScalarNode && n.Tag == "!!null"
	switch kind := t.Kind(); {
	case isNull:
		why = whyNotNull(t, path)
	case kind == reflect.Struct || kind == reflect.Map:
		if n.Kind != yaml.MappingNode {
			why = fmt.Sprintf("has keys below it, and cannot be %s", shapeOf(n))
		}
	case kind == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		if n.Kind != yaml.SequenceNode {
			why = fmt.Sprintf("is a list with keys in each entry, and cannot be %s; begin each entry with -", shapeOf(n))
		}
	case kind == reflect.Slice:
		if n.Kind == yaml.MappingNode {
			why = "is a list, and cannot be a table; write it as [a, b]"
		}
	case n.Kind != yaml.ScalarNode:
		why = fmt.Sprintf("has one value, and cannot be %s", shapeOf(n))
	case kind != reflect.String:
		why = whyNotNumber(n, t)
	}
	if why == "" {
		return true
	}
	d.faults = append(d.faults, &misplaced{inWords(path) + " " + why, n.Line})
	return false
}

// whyNotNull says why a key cannot be without a value, or "". Texts and lists can where none is
// the default.
func whyNotNull(t reflect.Type, path string) string {
	value, has := defaults()[path]
	switch kind := t.Kind(); {
	case kind == reflect.Struct || kind == reflect.Map:
		return "" // nothing is set below it
	case has && !reflect.ValueOf(value).IsZero():
		return fmt.Sprintf("has no value; give it one, or leave it out for the default of %v", schemaDefault(value))
	case strings.HasSuffix(path, "]"):
		return "is empty; give it a value, or take it out"
	case kind != reflect.String && kind != reflect.Slice:
		return "has no value; give it one, or leave it out"
	}
	return ""
}

// whyNotNumber says why a text is no number, switch, time or size, or "". The decoder finds
// what else is wrong with it.
func whyNotNumber(n *yaml.Node, t reflect.Type) string {
	switch {
	case strings.TrimSpace(n.Value) == "":
		return "is empty; give it a value, or leave it out"
	case t.Kind() != reflect.Bool && octal.MatchString(n.Value):
		return fmt.Sprintf("%s begins with 0, which YAML reads as a number to the base of 8; write it without", n.Value)
	}
	return ""
}

// shapeOf is what a node is, in words.
func shapeOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a table"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("the value %q", n.Value)
}

// place matches the place of an entry in a path.
var place = regexp.MustCompile(`\[(\d+)\]`)

// inWords is a path as faults have it, with the places of entries counted from 1.
func inWords(path string) string {
	return place.ReplaceAllStringFunc(path, func(of string) string {
		var i int
		_, _ = fmt.Sscanf(of, "[%d]", &i)
		return fmt.Sprintf(", entry %d", i+1)
	})
}
