package config

import (
	"fmt"
	"reflect"
	"sort"
	"strings"
)

// leafKeys lists the dotted keys of Config that hold a plain value or a list of them.
func leafKeys() []string {
	var keys []string
	collectKeys(reflect.TypeFor[Config](), "", &keys)
	return keys
}

// Keys lists how each key begins its line in a file, for tests of the example.
func Keys() []string {
	var keys []string
	for _, key := range leafKeys() {
		keys = append(keys, key[strings.LastIndexByte(key, '.')+1:]+":")
	}
	return keys
}

func collectKeys(t reflect.Type, path string, keys *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := path + f.Tag.Get("mapstructure")
		if f.Type.Kind() == reflect.Struct {
			collectKeys(f.Type, key+".", keys)
			continue
		}
		*keys = append(*keys, key)
	}
}

// unknownKeys lists the keys of a file that Config does not have, at any depth.
func unknownKeys(settings map[string]any) []string {
	var unknown []string
	walkKeys(settings, reflect.TypeFor[Config](), "", &unknown)
	sort.Strings(unknown)
	return unknown
}

func walkKeys(value any, t reflect.Type, path string, unknown *[]string) {
	switch t.Kind() {
	case reflect.Struct:
		settings, ok := value.(map[string]any)
		if !ok {
			return // the decoder says what is wrong with it
		}
		fields := make(map[string]reflect.Type)
		for i := range t.NumField() {
			fields[t.Field(i).Tag.Get("mapstructure")] = t.Field(i).Type
		}
		for name, inner := range settings {
			if field, ok := fields[name]; ok {
				walkKeys(inner, field, path+name+".", unknown)
			} else {
				*unknown = append(*unknown, path+name)
			}
		}
	case reflect.Slice:
		if list, ok := value.([]any); ok {
			for _, item := range list {
				walkKeys(item, t.Elem(), path, unknown)
			}
		}
	case reflect.Map:
		if settings, ok := value.(map[string]any); ok {
			for name, inner := range settings {
				walkKeys(inner, t.Elem(), path+name+".", unknown)
			}
		}
	}
}

// suggestion shows an unknown name with the nearest known one.
func suggestion(name string, known []string) string {
	best, distance := "", 1+len(name)/2
	for _, k := range known {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return fmt.Sprintf("%q; stompbox.example.yaml explains all keys", name)
	}
	return fmt.Sprintf("%q; did you mean %q?", name, best)
}

// editDistance is how many bytes have to change to make b of a (Levenshtein).
func editDistance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
