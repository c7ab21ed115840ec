package config

import (
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// masked stands for a secret.
const masked = "***"

// Source says where the value of a key comes from: a line of the file, a variable, a flag,
// or "default". The key is as in a file, with [i] for an entry of a list.
func (l *Locations) Source(key string) string {
	for path := key; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if source, ok := l.other[path]; ok {
			return source
		}
		if line, ok := l.lines[path]; ok && (path == key || strings.Contains(key[len(path):], "[") || l.isEntry(path)) {
			return l.at(line)
		}
	}
	return "default"
}

// isEntry reports whether a path is one of a list, all of which its entry decides.
func (l *Locations) isEntry(path string) bool { return strings.HasSuffix(path, "]") }

// Setting is one key with its value, as YAML has it, and where that comes from.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`

	depth int
	name  string // as a line begins with it
	table bool   // it has no value, but settings below it
}

// Settings lists all that is in force, with secrets masked.
func (c *Config) Settings(where *Locations) []Setting {
	p := printer{where: where}
	p.structure(reflect.ValueOf(*c), "", 0, "")
	return p.all
}

// Values are the settings that have a value.
func Values(all []Setting) []Setting {
	return slices.DeleteFunc(slices.Clone(all), func(s Setting) bool { return s.table })
}

// Changed are the settings that have no default, and the tables that they are in.
func Changed(all []Setting) (changed []Setting) {
	var tables []Setting
	for _, s := range all {
		for len(tables) > 0 && tables[len(tables)-1].depth >= s.depth {
			tables = tables[:len(tables)-1]
		}
		switch {
		case s.table:
			tables = append(tables, s)
		case s.Source != "default":
			changed = append(append(changed, tables...), s)
			tables = tables[:0]
		}
	}
	return changed
}

// PrintSettings writes settings as a file that could be read, except for masked secrets. Behind
// each value is where it comes from.
func PrintSettings(w io.Writer, all []Setting) error {
	for _, s := range all {
		line := strings.Repeat("  ", s.depth) + s.name + ":"
		if !s.table {
			line = fmt.Sprintf("%-46s # %s", line+" "+s.Value, s.Source)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

type printer struct {
	where *Locations
	all   []Setting
}

// structure adds the fields of a table. Mark begins its first line, as that of an entry of
// a list does.
func (p *printer) structure(v reflect.Value, path string, depth int, mark string) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("mapstructure")
		p.value(v.Field(i), join(path, name), name, depth, mark)
		if mark != "" {
			mark = strings.Repeat(" ", len(mark))
		}
	}
}

func (p *printer) value(v reflect.Value, path, name string, depth int, mark string) {
	s := Setting{Key: path, depth: depth, name: mark + name, Source: p.where.Source(path)}
	deeper := depth + 1 + len(mark)/2
	switch {
	case v.Kind() == reflect.Struct:
		s.table = true
		p.all = append(p.all, s)
		p.structure(v, path, deeper, "")
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct && v.Len() > 0:
		s.table = true
		p.all = append(p.all, s)
		for i := range v.Len() {
			p.structure(v.Index(i), path+"["+strconv.Itoa(i)+"]", deeper, "- ")
		}
	case v.Kind() == reflect.Map && v.Len() > 0:
		s.table = true
		p.all = append(p.all, s)
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			p.value(v.MapIndex(key), join(path, key.String()), flow(key.String()), deeper, "")
		}
	default:
		s.Value = shownValue(v, name)
		p.all = append(p.all, s)
	}
}

// shownValue is a value as YAML has it on one line.
func shownValue(v reflect.Value, name string) string {
	switch of := v.Interface().(type) {
	case time.Duration:
		return shortDuration(of)
	case Size:
		return of.String()
	case string:
		switch {
		case of != "" && isSecret(name):
			return flow(masked)
		case strings.Contains(of, "://"):
			return flow(maskURLs(of))
		}
	}
	if v.Kind() == reflect.Map || v.Kind() == reflect.Slice && v.Len() == 0 {
		return map[bool]string{true: "{}", false: "[]"}[v.Kind() == reflect.Map]
	}
	return flow(v.Interface())
}

// flow is a value as YAML has it in a line.
func flow(value any) string {
	var node yaml.Node
	if err := node.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	node.Style = yaml.FlowStyle
	text, err := yaml.Marshal(&node)
	if err != nil {
		return fmt.Sprint(value)
	}
	if text := strings.TrimSpace(string(text)); text != "" {
		return strings.ReplaceAll(text, "\n", " ")
	}
	return `""`
}

func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zeros := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zeros) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// isSecret reports whether a key of that name holds a secret itself, and no name of a file.
func isSecret(name string) bool {
	switch name {
	case "secret", "password", "token", "passcode_hash":
		return true
	}
	return false
}

// maskURLs hides what could be secret in URLs, which may be several with commas between.
func maskURLs(text string) string {
	parts := strings.Split(text, ",")
	for i, part := range parts {
		u, err := url.Parse(strings.TrimSpace(part))
		switch {
		case err != nil:
			parts[i] = masked
		case u.User != nil || u.RawQuery != "":
			if u.User != nil {
				u.User = url.User("user")
			}
			shown := u.Scheme + "://"
			if u.User != nil {
				shown += masked + "@"
			}
			shown += u.Host + u.EscapedPath()
			if u.RawQuery != "" {
				shown += "?" + masked
			}
			parts[i] = shown
		}
	}
	return strings.Join(parts, ",")
}
