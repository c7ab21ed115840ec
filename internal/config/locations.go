package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// Locations say where each key of a configuration was set, so that faults name the line.
type Locations struct {
	file  string
	lines map[string]int    // by the path of a key; lists have [i]
	other map[string]string // what set a key in place of the file: a variable or a flag
	given map[string]string // what the file says of keys that something else sets
}

// OverriddenSince says, for each key that the file has changed since another reading and that a
// variable or a flag sets in its place, why that has no effect. Without a reading before it is empty.
func (l *Locations) OverriddenSince(before *Locations) (all []string) {
	if before == nil {
		return nil
	}
	for key, text := range l.given {
		if was, known := before.given[key]; known && was == text {
			continue
		}
		all = append(all, fmt.Sprintf("%s has changed in %s, which has no effect: %s sets it", key, l.file, l.other[key]))
	}
	slices.Sort(all)
	return all
}

// setBy notes what sets a key in place of the file, and what that says.
func (l *Locations) setBy(key, by string, v *viper.Viper) {
	if _, inFile := l.lines[key]; inFile && l.other[key] == "" {
		l.given[key] = fmt.Sprint(v.Get(key))
	}
	l.other[key] = by
}

// fault is one thing that is wrong with a configuration.
type fault struct {
	text  string
	where string // file and line, a variable, a flag, or ""
	line  int
}

// Join makes one error of faults, each with the place of the key that its text begins
// with, in the order of the file. It is nil without faults.
func (l *Locations) Join(faults []error) error {
	var all []fault
	for _, err := range flatten(faults) {
		f := l.locate(err)
		if !slices.ContainsFunc(all, func(other fault) bool { return other.text == f.text }) {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.where, b.where), cmp.Compare(a.text, b.text))
	})
	lines := make([]string, len(all))
	for i, f := range all {
		if lines[i] = f.text; f.where != "" {
			lines[i] = f.where + ": " + f.text
		}
	}
	return errors.New("configuration: " + strings.Join(lines, "\n"))
}

// flatten takes joined errors apart.
func flatten(errs []error) (all []error) {
	for _, err := range errs {
		if joined, ok := err.(interface{ Unwrap() []error }); ok && isJoined(err, joined.Unwrap()) {
			all = append(all, flatten(joined.Unwrap())...)
		} else if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// isJoined reports whether an error is nothing but its parts, a line each.
func isJoined(err error, parts []error) bool {
	return err.Error() == errors.Join(parts...).Error()
}

// keyAtStart matches the key that the text of a fault begins with.
var keyAtStart = regexp.MustCompile(`^'?([a-z][a-z0-9_]*(?:\.[A-Za-z0-9_]+|\[[^\]]+\]|, entry \d+)*)`)

// entry and name match a place in a list, and a name that the operator chose.
var (
	entry = regexp.MustCompile(`, entry (\d+)`)
	name  = regexp.MustCompile(`\[([^\]0-9][^\]]*)\]`)
)

func (l *Locations) locate(err error) fault {
	text := strings.TrimPrefix(err.Error(), "configuration: ")
	var placed interface{ at() int }
	if errors.As(err, &placed) {
		return fault{text: text, where: l.at(placed.at()), line: placed.at()}
	}
	found := keyAtStart.FindStringSubmatch(text)
	if found == nil {
		return fault{text: text}
	}
	path := entry.ReplaceAllStringFunc(found[1], func(of string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(of, ", entry "))
		return "[" + strconv.Itoa(n-1) + "]"
	})
	path = name.ReplaceAllString(path, ".$1")
	for ; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if source, ok := l.other[path]; ok {
			return fault{text: text, where: source}
		}
		if line, ok := l.lines[path]; ok {
			return fault{text: text, where: l.at(line), line: line}
		}
	}
	return fault{text: text}
}

func (l *Locations) at(line int) string { return l.file + ":" + strconv.Itoa(line) }

// unknownKey is a key that Config does not have.
type unknownKey struct {
	name, nearest string
	line          int
}

func (u *unknownKey) Error() string { return "unknown key " + suggestionOf(u.name, u.nearest) }
func (u *unknownKey) at() int       { return u.line }

// repeatedKey is a key that a file has twice, perhaps with other capitals or with dots.
type repeatedKey struct {
	name          string
	first, second int
}

func (r *repeatedKey) Error() string {
	return fmt.Sprintf("%s is there twice, also in line %d; keep one of them", r.name, r.first)
}

func (r *repeatedKey) at() int { return r.second }

// document walks a file along Config: it notes the lines of keys, and takes out those that
// Config does not have, and values that a key cannot have.
type document struct {
	where  *Locations
	given  map[string]int // the lines of keys that are not merged from another place
	merged int            // how many merges the walk is in
	faults []error
}

// walk visits a node of the type t. The path is for looking up lines, and shown is how
// the key is called in faults.
func (d *document) walk(n *yaml.Node, t reflect.Type, path, shown string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case t.Kind() == reflect.String && n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		n.Tag = "!!str" // as it is written: 0123 is no number, and no is not false
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		d.walkStruct(n, t, path, shown)
	case t.Kind() == reflect.Slice && n.Kind == yaml.ScalarNode && t.Elem().Kind() == reflect.String && n.Tag != "!!null":
		n.Tag = "!!str"
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		d.walkList(n, t, path, shown)
	case t.Kind() == reflect.Map && n.Kind == yaml.MappingNode:
		d.walkMap(n, t, path, shown)
	}
}

func (d *document) walkList(n *yaml.Node, t reflect.Type, path, shown string) {
	fits := len(n.Content) // how many do, before the first that does not: the others keep their places
	for i, item := range n.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.where.lines[at] = item.Line
		if d.fits(item, t.Elem(), at) {
			d.walk(item, t.Elem(), at, shown)
		} else {
			fits = min(fits, i)
		}
	}
	n.Content = n.Content[:fits]
}

func (d *document) walkMap(n *yaml.Node, t reflect.Type, path, shown string) {
	kept := n.Content[:0:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		d.where.lines[at] = key.Line
		if d.fits(value, t.Elem(), path+"["+key.Value+"]") {
			d.walk(value, t.Elem(), at, join(shown, key.Value))
			kept = append(kept, key, value)
		}
	}
	n.Content = kept
}

func (d *document) walkStruct(n *yaml.Node, t reflect.Type, path, shown string) {
	kept := n.Content[:0:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			d.merged++
			for _, from := range merges(value) {
				d.walk(from, t, path, shown)
			}
			d.merged--
			kept = append(kept, key, value)
			continue
		}
		inner, ok := keyType(t, key.Value)
		if !ok {
			name := join(shown, key.Value)
			d.faults = append(d.faults, &unknownKey{name, nearestKey(name, shown, t), key.Line})
			continue
		}
		at := join(path, strings.ToLower(key.Value))
		if before, twice := d.given[at]; twice && d.merged == 0 {
			d.faults = append(d.faults, &repeatedKey{join(shown, strings.ToLower(key.Value)), before, key.Line})
		}
		if d.merged == 0 {
			d.given[at], d.where.lines[at] = key.Line, key.Line
		} else if _, known := d.where.lines[at]; !known {
			d.where.lines[at] = key.Line
		}
		if d.fits(value, inner, at) {
			kept = append(kept, key, value)
			d.walk(value, inner, at, join(shown, strings.ToLower(key.Value)))
		}
	}
	n.Content = kept
}

// merges are what a merge key takes its keys from: a table, or a list of them.
func merges(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// keyType returns the type of a key in a struct. A key may be several with dots between.
func keyType(t reflect.Type, key string) (reflect.Type, bool) {
	first, rest, dotted := strings.Cut(strings.ToLower(key), ".")
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Tag.Get("mapstructure") != first:
		case !dotted:
			return f.Type, true
		case f.Type.Kind() == reflect.Struct:
			return keyType(f.Type, rest)
		}
	}
	return nil, false
}

// nearestKey returns the known key that is most like an unknown one: next to it, or
// anywhere.
func nearestKey(unknown, shown string, t reflect.Type) string {
	var known []string
	for i := range t.NumField() {
		known = append(known, join(shown, t.Field(i).Tag.Get("mapstructure")))
	}
	return nearest(unknown, append(known, leafKeys()...))
}
