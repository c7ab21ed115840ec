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
	// maxBeat is the longest interval of heart-beats.
	maxBeat = 24 * time.Hour
	// maxGrace is the most intervals that a client may be late.
	maxGrace = 1000
)

// checkRanges refuses numbers that cannot be meant.
func checkRanges(c *Config, problem func(string, ...any)) {
	checkNumbers(reflect.ValueOf(*c), "", problem)
	l := c.Limits
	switch {
	case l.Body > frames.BytesCeiling:
		problem("limits.body %s is more than %s", l.Body, Size(frames.BytesCeiling))
	case l.Headers > frames.HeadersCeiling:
		problem("limits.headers %d is more than %d", l.Headers, frames.HeadersCeiling)
	case l.Headers > 0 && int(l.HeaderLine) > frames.BytesCeiling/l.Headers:
		problem("limits.headers %d times limits.header_line %s is more than %s", l.Headers, l.HeaderLine, Size(frames.BytesCeiling))
	}
	for key, d := range map[string]time.Duration{"heartbeat.send": c.HeartBeat.Send, "heartbeat.receive": c.HeartBeat.Receive} {
		if d > maxBeat {
			problem("%s %s is more than %s", key, d, maxBeat)
		}
	}
	if s := l.NodeMemoryShare; !(s >= 0 && s <= 1) {
		problem("limits.node_memory_share %v is not 0 to 1", s)
	}
	if g := c.HeartBeat.Grace; !(g >= 1 && g <= maxGrace) { // which NaN is not
		problem("heartbeat.grace %v is not 1 to %d intervals", g, maxGrace)
	}
}

// checkNumbers looks at all numbers below a value.
func checkNumbers(v reflect.Value, path string, problem func(string, ...any)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("mapstructure")
			if path != "" {
				name = path + "." + name
			}
			checkNumbers(v.Field(i), name, problem)
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkNumbers(v.Index(i), fmt.Sprintf("%s, entry %d", path, i+1), problem)
		}
	case reflect.Int64, reflect.Int:
		switch n := v.Interface().(type) {
		case time.Duration:
			checkDuration(n, path, problem)
		case Size:
			if n < 0 || n > maxNumber {
				problem("%s %s is negative, or more than %s", path, n, Size(maxNumber))
			}
		default:
			if n := v.Int(); n < 0 {
				problem("%s %d is negative, or more than a number can be", path, n)
			} else if n > maxNumber {
				problem("%s %d is more than %d", path, n, int64(maxNumber))
			}
		}
	}
}

func checkDuration(d time.Duration, path string, problem func(string, ...any)) {
	switch {
	case d == math.MinInt64:
		problem("%s is more than a time can be", path)
	case d < 0:
		problem("%s %s is negative", path, d)
	case d > 0 && d < time.Millisecond:
		problem("%s %s is less than 1ms; a time has a unit, such as 10s", path, d)
	case d > maxDuration:
		problem("%s %s is more than %d years", path, d, maxDuration/(365*24*time.Hour))
	}
}
