package config

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// The bounds of all numbers. What is larger is a mistake, and would wrap around where
// it is added to another.
const (
	maxDuration = 100 * 365 * 24 * time.Hour
	maxNumber   = 1 << 50
)

// checkRanges refuses numbers that cannot be meant.
func checkRanges(c *Config, problem func(string, ...any)) {
	checkNumbers(reflect.ValueOf(*c), "", "", problem)
	l := c.Limits
	if l.Headers > 0 && l.Headers <= frames.HeadersCeiling && int(l.HeaderLine) > frames.BytesCeiling/l.Headers {
		problem("limits.headers %d times limits.header_line %s is more than %s", l.Headers, l.HeaderLine, Size(frames.BytesCeiling))
	}
}

// checkNumbers looks at all numbers below a value. The entries of a list have [] in the key, and
// their place in the path.
func checkNumbers(v reflect.Value, key, path string, problem func(string, ...any)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("mapstructure")
			checkNumbers(v.Field(i), join(key, name), join(path, name), problem)
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkNumbers(v.Index(i), key+"[]", fmt.Sprintf("%s, entry %d", path, i+1), problem)
		}
	case reflect.Int64, reflect.Int:
		if fault := numberFault(v); fault != "" {
			problem("%s %s", path, fault)
			return
		}
		checkBounds(v, key, path, problem)
	case reflect.Float64:
		checkBounds(v, key, path, problem)
	}
}

// numberFault says why no key can have a number, or is empty.
func numberFault(v reflect.Value) string {
	switch n := v.Interface().(type) {
	case time.Duration:
		return durationFault(n)
	case Size:
		if n < 0 || n > maxNumber {
			return fmt.Sprintf("%s is negative, or more than %s", n, Size(maxNumber))
		}
	default:
		if n := v.Int(); n < 0 {
			return fmt.Sprintf("%d is negative, or more than a number can be", n)
		} else if n > maxNumber {
			return fmt.Sprintf("%d is more than %d", n, int64(maxNumber))
		}
	}
	return ""
}

func durationFault(d time.Duration) string {
	switch {
	case d == math.MinInt64:
		return "is more than a time can be"
	case d < 0:
		return fmt.Sprintf("%s is negative", d)
	case d > 0 && d < time.Millisecond:
		return fmt.Sprintf("%s is less than 1ms; a time has a unit, such as 10s", d)
	case d > maxDuration:
		return fmt.Sprintf("%s is more than %d years", d, maxDuration/(365*24*time.Hour))
	}
	return ""
}
