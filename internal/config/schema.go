package config

import (
	_ "embed"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
)

// SchemaFile is the JSON Schema of the configuration, for editors. It is made from Config by
// `make docs`.
//
//go:embed schema.json
var SchemaFile []byte

// SchemaURL is where editors find it.
const SchemaURL = "https://raw.githubusercontent.com/stompbox/stompbox/main/internal/config/schema.json"

// The patterns of values with units. 0 needs none.
const (
	durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
	sizePattern     = `^[0-9]+(\.[0-9]+)? ?([KkMmGgTt][Ii]?)?[Bb]$`
)

// The patterns of what may be in quotes, as templates write it.
const (
	wholePattern    = `^ *(0|[1-9][0-9]*) *$`
	positivePattern = `^ *[1-9][0-9]* *$`
	numberPattern   = `^ *[0-9]+(\.[0-9]+)? *$`
	switchPattern   = `^ *(true|True|TRUE|t|T|1|false|False|FALSE|f|F|0) *$`
	zeroPattern     = `^ *0 *$`
)

// choices are the values of keys that have few.
var choices = map[string][]string{
	"log.level": {"debug", "info", "warn", "error"}, "log.format": {"text", "json"},
	"outbox.policy":         {string(broker.PolicyDisconnect), string(broker.PolicyDropOldest), string(broker.PolicyConflate)},
	"sockjs.transports":     gateway.SockJSTransports,
	"acme.listeners":        acmeListeners,
	"stomp.client_tls.name": {string(auth.NameCN), string(auth.NameDNS), string(auth.NameEmail), string(auth.NameURI)},
}

// Choices are the values of a key that has few, or nil.
func Choices(key string) []string { return slices.Clone(choices[key]) }

// Schema makes the JSON Schema (draft 2020-12). Text says what a key is for; the entries of
// a list have [] in their keys.
func Schema(text func(key string) string) map[string]any {
	s := schemaMaker{text: text, defaults: defaults()}
	root := s.table(reflect.TypeFor[Config](), "")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaURL
	root["title"] = "stompbox.yaml"
	return root
}

type schemaMaker struct {
	text     func(key string) string
	defaults map[string]any
}

func (s *schemaMaker) table(t reflect.Type, path string) map[string]any {
	properties := make(map[string]any, t.NumField())
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("mapstructure")
		properties[name] = s.key(t.Field(i).Type, join(path, name))
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func (s *schemaMaker) key(t reflect.Type, key string) map[string]any {
	schema := s.value(t, key)
	if whyNotNull(t, key) == "" {
		schema = orNull(schema)
	}
	if text := withRange(s.text(key), key); text != "" {
		schema["description"] = text
	}
	if value, ok := s.defaults[key]; ok {
		schema["default"] = schemaDefault(value)
	}
	return schema
}

func (s *schemaMaker) value(t reflect.Type, key string) map[string]any {
	switch {
	case t == durationType:
		return withUnit(durationPattern, "30s", permitsZero(key))
	case t == sizeType:
		return withUnit(sizePattern, "64MiB", permitsZero(key))
	case t.Kind() == reflect.Struct:
		return s.table(t, key)
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": orNull(s.table(t.Elem(), key+"[]"))}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return map[string]any{"type": "array", "items": s.table(t.Elem(), key+"[]")}
	case t.Kind() == reflect.Slice:
		// One entry may stand without its list, and several with commas between.
		return map[string]any{"anyOf": []any{map[string]any{"type": "array", "items": schemaText(key)}, map[string]any{"type": scalars}}}
	case t.Kind() == reflect.Bool:
		return orQuoted(map[string]any{"type": "boolean"}, switchPattern)
	case t.Kind() == reflect.Float64:
		return orQuoted(schemaBounds(map[string]any{"type": "number"}, key, permitsZero(key)), numberPattern)
	case t.Kind() == reflect.String:
		return schemaText(key)
	}
	quoted := positivePattern
	if permitsZero(key) {
		quoted = wholePattern
	}
	return orQuoted(schemaBounds(map[string]any{"type": "integer"}, key, permitsZero(key)), quoted)
}

// scalars are the types of what a text may be in YAML: 123 is a passcode too, as it is written.
var scalars = []string{"string", "number", "boolean"}

func schemaText(key string) map[string]any {
	if key == "log.level" {
		return map[string]any{"anyOf": []any{map[string]any{"type": "string", "enum": choices[key]}, map[string]any{"type": "string", "pattern": inAnyCase(choices[key])}}}
	}
	if of := choices[key]; of != nil {
		return map[string]any{"type": "string", "enum": of}
	}
	return map[string]any{"type": scalars}
}

// inAnyCase is a pattern of words, whose letters may be capitals.
func inAnyCase(words []string) string {
	var pattern strings.Builder
	for _, r := range strings.Join(words, "|") {
		if unicode.IsLetter(r) {
			fmt.Fprintf(&pattern, "[%c%c]", unicode.ToUpper(r), r)
			continue
		}
		pattern.WriteRune(r)
	}
	return "^(" + pattern.String() + ")$"
}

// orNull also permits a key without a value, such as a section of which all lines are comments.
func orNull(schema map[string]any) map[string]any {
	switch of := schema["type"].(type) {
	case string:
		schema["type"] = []string{of, "null"}
	case []string:
		schema["type"] = append(slices.Clone(of), "null")
	default:
		schema["anyOf"] = append(schema["anyOf"].([]any), map[string]any{"type": "null"})
		return schema
	}
	if enum, ok := schema["enum"].([]string); ok {
		all := []any{nil}
		for _, choice := range enum {
			all = append(all, choice)
		}
		schema["enum"] = all
	}
	return schema
}

// orQuoted also permits a value in quotes. A schema cannot compare it with bounds.
func orQuoted(schema map[string]any, pattern string) map[string]any {
	quoted := map[string]any{"type": "string", "pattern": pattern}
	if alternatives, ok := schema["anyOf"].([]any); ok {
		schema["anyOf"] = append(alternatives, quoted)
		return schema
	}
	return map[string]any{"anyOf": []any{schema, quoted}}
}

// withRange is the text of a key with its bounds, which a schema cannot state of values with units.
func withRange(text, key string) string {
	bounds := RangeText(key)
	if text == "" || bounds == "" {
		return text + bounds
	}
	return strings.TrimSuffix(text, ".") + ". " + bounds
}

func withUnit(pattern, example string, zero bool) map[string]any {
	text := map[string]any{"type": "string", "pattern": pattern}
	schema := map[string]any{"examples": []any{example}}
	if zero {
		schema["anyOf"] = []any{text, map[string]any{"const": 0}, map[string]any{"type": "string", "pattern": zeroPattern}}
	} else {
		maps.Copy(schema, text)
	}
	return schema
}

// schemaDefault is a default as a file has it.
func schemaDefault(value any) any {
	switch of := value.(type) {
	case time.Duration:
		return shortDuration(of)
	case Size:
		return of.String()
	case string:
		return strings.TrimSpace(of)
	}
	return value
}
