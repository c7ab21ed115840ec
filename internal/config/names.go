package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// takeNamed takes the maps out of a file's settings whose keys are names that the operator
// chose, such as those of roles, and returns them at their place in settings of their own.
// Viper would put the names in lower case, and split them at dots.
func takeNamed(settings map[string]any, t reflect.Type) map[string]any {
	named := make(map[string]any)
	for i := range t.NumField() {
		field := t.Field(i)
		key := field.Tag.Get("mapstructure")
		for name, value := range settings {
			if !strings.EqualFold(name, key) {
				continue
			}
			inner, ok := asSettings(value)
			switch {
			case !ok: // the decoder says what is wrong with it
			case field.Type.Kind() == reflect.Struct:
				settings[name] = inner
				if below := takeNamed(inner, field.Type); len(below) > 0 {
					named[key] = below
				}
			case field.Type.Kind() == reflect.Map:
				for chosen := range inner {
					inner[chosen] = lowerKeys(inner[chosen])
				}
				named[key] = inner
				delete(settings, name)
			}
		}
	}
	return named
}

// asSettings returns a YAML map, whose keys may be numbers, with keys of text.
func asSettings(value any) (map[string]any, bool) {
	switch m := value.(type) {
	case map[string]any:
		return m, true
	case map[any]any:
		settings := make(map[string]any, len(m))
		for key, value := range m {
			settings[fmt.Sprint(key)] = value
		}
		return settings, true
	}
	return nil, false
}

// lowerKeys puts the keys of Config that a value has in lower case, as viper does.
func lowerKeys(value any) any {
	m, ok := asSettings(value)
	if !ok {
		return value
	}
	lower := make(map[string]any, len(m))
	for key, value := range m {
		lower[strings.ToLower(key)] = lowerKeys(value)
	}
	return lower
}

// decodeNamed adds what takeNamed took to c, by viper's rules.
func decodeNamed(named map[string]any, c *Config) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: c, WeaklyTypedInput: true, ErrorUnused: true,
		DecodeHook: decodeHook(),
	})
	if err != nil {
		return err
	}
	return d.Decode(named)
}
