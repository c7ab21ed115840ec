package config

import (
	"fmt"
	"reflect"
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

// suggestionOf shows an unknown name with the nearest known one.
func suggestionOf(name, nearest string) string {
	if nearest == "" {
		return fmt.Sprintf("%q; stompbox.example.yaml explains all keys", name)
	}
	return fmt.Sprintf("%q; did you mean %q?", name, nearest)
}

// nearest returns the known name that is most like another one, or "" where none is.
func nearest(name string, known []string) string {
	best, distance := "", 1+len(name)/2
	for _, k := range known {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// nearestVariable is nearest for variables, without the beginning that all of them have.
func nearestVariable(name string, known []string) string {
	ends := make([]string, len(known))
	for i, k := range known {
		ends[i] = strings.TrimPrefix(k, envPrefix+"_")
	}
	if end := nearest(strings.TrimPrefix(name, envPrefix+"_"), ends); end != "" {
		return envPrefix + "_" + end
	}
	return ""
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
