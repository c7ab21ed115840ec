package config

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkTexts refuses texts that cannot be meant: blank ones, those with control characters, and
// those with a space at an end, which makes another name of them. Path is of v, for people.
func checkTexts(v reflect.Value, path string, problem func(string, ...any)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			checkTexts(v.Field(i), join(path, v.Type().Field(i).Tag.Get("mapstructure")), problem)
		}
	case reflect.Slice:
		for i := range v.Len() {
			entry := fmt.Sprintf("%s, entry %d", path, i+1)
			if v.Index(i).Kind() == reflect.String && v.Index(i).String() == "" {
				problem("%s is empty; take it out", entry)
				continue
			}
			checkTexts(v.Index(i), entry, problem)
		}
	case reflect.Map:
		for _, name := range v.MapKeys() {
			if why := textFault(name.String()); why != "" || name.String() == "" {
				problem("%s has an entry with the name %q; give it another one", path, name.String())
				continue
			}
			checkTexts(v.MapIndex(name), path+"["+name.String()+"]", problem)
		}
	case reflect.String:
		checkText(v.String(), path, problem)
	}
}

// checkText refuses one text. Secrets are not shown. One that signs may have any bytes, and is
// refused elsewhere if it is blank.
func checkText(text, path string, problem func(string, ...any)) {
	name := path[strings.LastIndexByte(path, '.')+1:]
	why := textFault(text)
	switch {
	case why == "" || name == "secret":
	case isSecret(name) && (strings.TrimSpace(text) == "" || !hasControl(text)): // spaces may belong to it
	case isSecret(name) || strings.Contains(text, "://"): // a URL may have a password
		problem("%s %s", path, why)
	default:
		problem("%s %q %s", path, text, why)
	}
}

// textFault says what is wrong with a text, or is empty.
func textFault(text string) string {
	switch {
	case text == "":
		return ""
	case !utf8.ValidString(text):
		return "is not UTF-8; write it in that encoding"
	case strings.TrimSpace(text) == "":
		return "is blank; give it a value, or leave it out"
	case hasControl(text):
		return "has a line break or another control character; write it in one line, without them"
	case text != strings.TrimSpace(text):
		return "begins or ends with a space, which would belong to it; take that away"
	}
	return ""
}

func hasControl(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }
