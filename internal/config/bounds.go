package config

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// bounds are the least and the largest value of a number, a time in nanoseconds or a size in
// bytes. Zero is no bound.
type bounds struct {
	least, most float64
	why         string // what is wrong with less, or with more where there is no least
}

const (
	// minQuota is the least of the limits of memory: a few frames of a usual size.
	minQuota = 16 << 10
	// minBody is the least limit of a body: a short message has room in it.
	minBody = 64
	// minStored is the least size of what is kept: a message with its headers has room in it.
	minStored = 1 << 10
	// minTimeout is the least time for a peer that is far away.
	minTimeout = float64(time.Second)
	// maxBeat is the longest interval of heart-beats.
	maxBeat = float64(24 * time.Hour)
	// maxGrace is the most intervals that a client may be late.
	maxGrace = 1000
	// maxMetricQueues bounds the series of queues.
	maxMetricQueues = 1000
	// maxLeeway is the most by which clocks may differ. Tokens that expired are valid for so long.
	maxLeeway = float64(time.Hour)
	// maxRefresh is the longest time for which the keys of a provider are not looked at.
	maxRefresh = float64(30 * 24 * time.Hour)
	// maxDrain is the longest time that a stop may take, for each of its two parts.
	maxDrain = float64(24 * time.Hour)
	maxNodes = 5 // on which JetStream stores a message
)

const (
	whyNothingFits = "nothing would fit"
	whyNoMessage   = "no message would fit"
	whyTooEarly    = "clients that are far away would be disconnected"
	whyTooOften    = "it would be busy with that alone"
)

// keyBounds are those of keys. The entries of a list have [] in their keys.
var keyBounds = makeKeyBounds()

func makeKeyBounds() map[string]bounds {
	all := map[string]bounds{
		"http.max_message": {minStored, 0, "a CONNECT with a token would not fit"},

		"events.heartbeat":    {minTimeout, 0, whyTooOften},
		"events.max_lifetime": {minTimeout, 0, "streams would end before their first message"},
		"events.retry":        {float64(100 * time.Millisecond), 0, "browsers would reconnect all the time"},

		"sockjs.heartbeat":        {minTimeout, 0, whyTooOften},
		"sockjs.disconnect_delay": {minTimeout, 0, "sessions would end between two requests of their client"},
		"sockjs.body_timeout":     {minTimeout, 0, whyTooEarly},
		"sockjs.max_bodies":       {64 << 10, 0, "no large message would be read"},

		"data.max_bytes": {1e6, 0, "the store would be full at once"},

		"queues.ack_wait":             {minTimeout, 0, "nodes that are alive extend it, so it can well be 30s"},
		"queues.dedup_window":         {minTimeout, 0, "a dedup-id would be forgotten before it comes again"},
		"queues.max_bytes":            {minStored, 0, whyNoMessage},
		"queues.policies[].max_bytes": {minStored, 0, whyNoMessage},
		"queues.max_age":              {minTimeout, 0, "messages would be gone before anyone could read them"},
		"queues.policies[].max_age":   {minTimeout, 0, "messages would be gone before anyone could read them"},
		"queues.replicas":             {1, maxNodes, ""},

		"history.policies[].max_bytes": {minStored, 0, whyNoMessage},
		"history.policies[].max_age":   {minTimeout, 0, "messages would be gone before anyone could read them"},
		"history.durable_idle":         {minTimeout, 0, "durable subscriptions would be gone as soon as their client leaves"},
		"history.replicas":             {1, maxNodes, ""},

		"app.timeout":             {minTimeout, 0, "no app server would answer in time"},
		"app.webhooks[].timeout":  {float64(100 * time.Millisecond), 0, "no server would answer in time"},
		"app.webhooks[].deadline": {float64(100 * time.Millisecond), 0, "no server would answer in time"},

		"auth.jwt.jwks_refresh": {minTimeout, maxRefresh, "the provider would be asked all the time"},
		"auth.jwt.leeway":       {0, maxLeeway, "tokens that expired stay valid for so long"},

		"limits.headers":           {8, frames.HeadersCeiling, "a CONNECT has up to 8 headers"},
		"limits.header_line":       {256, 0, "a token, or a destination, has to fit into one"},
		"limits.body":              {minBody, frames.BytesCeiling, whyNoMessage},
		"limits.destination":       {32, 0, "/user/queue/errors and names of that kind have to fit"},
		"limits.transaction_bytes": {minStored, 0, whyNoMessage},
		"limits.dedup_id":          {16, 0, "ids such as those of UUIDs would be refused"},
		"limits.user_byte_rate":    {minBody, 0, "no message would be accepted"},
		"limits.node_memory_share": {0.01, 1, ""},
		"limits.connect_timeout":   {minTimeout, 0, "no client would connect in time"},
		"limits.idle_timeout":      {minTimeout, 0, whyTooEarly},
		"limits.frame_timeout":     {minTimeout, 0, whyTooEarly},
		"limits.write_timeout":     {minTimeout, 0, whyTooEarly},

		"heartbeat.send":    {float64(100 * time.Millisecond), maxBeat, whyTooOften},
		"heartbeat.receive": {float64(100 * time.Millisecond), maxBeat, whyTooEarly},
		"heartbeat.grace":   {1, maxGrace, ""},

		"outbox.max_bytes":  {minQuota, 0, "clients would be too slow with their first messages"},
		"outbox.max_frames": {16, 0, "clients would be too slow with their first messages"},

		"metrics.queues": {0, maxMetricQueues, ""},

		"drain.window":  {0, maxDrain, "a stop would not end"},
		"drain.timeout": {0, maxDrain, "a stop would not end"},
	}
	for _, key := range leafKeys() {
		if _, known := all[key]; !known && fieldOf(new(Config), key).Type() == sizeType && strings.HasPrefix(key, "limits.") {
			all[key] = bounds{minQuota, 0, whyNothingFits}
		}
	}
	return all
}

// permitsZero reports whether a key may be 0: there is no such limit, or nothing of the kind.
func permitsZero(key string) bool {
	if strings.HasPrefix(key, "app.webhooks[]") {
		return false
	}
	value, ok := defaults()[key]
	return !ok || reflect.ValueOf(value).IsZero() || slices.Contains(zeroIsMeant, key)
}

// checkBounds refuses a value that is out of the bounds of its key. Path is the key for people.
func checkBounds(v reflect.Value, key, path string, problem func(string, ...any)) {
	b, known := keyBounds[key]
	if !known {
		return
	}
	value, zero := numberOf(v), permitsZero(key)
	if value == 0 { // which checkZeros refuses, where it is not permitted
		return
	}
	shown := func(n float64) string { return showNumber(n, v.Type()) }
	because, unless := "", ""
	if b.why != "" {
		because = ": " + b.why
	}
	if zero && b.least > 0 {
		unless = ", or 0"
	}
	switch {
	case v.Kind() == reflect.Float64:
		if !(value >= b.least && value <= b.most) { // which NaN is not
			problem("%s %v is not %s to %s%s", path, v, shown(b.least), shown(b.most), unless)
		}
	case b.most > 0 && value > b.most && b.least > 0:
		problem("%s %s is more than %s", path, shown(value), shown(b.most))
	case b.most > 0 && value > b.most:
		problem("%s %s is more than %s%s", path, shown(value), shown(b.most), because)
	case value < b.least:
		problem("%s %s is too %s%s; use %s or more%s", path, shown(value), smallWord(v.Type()), because, shown(b.least), unless)
	}
}

// numberOf is a number, a time in nanoseconds, or a size in bytes.
func numberOf(v reflect.Value) float64 {
	if v.Kind() == reflect.Float64 {
		return v.Float()
	}
	return float64(v.Int())
}

// showNumber is a value of the type t as a file has it.
func showNumber(n float64, t reflect.Type) string {
	switch t {
	case durationType:
		return shortDuration(time.Duration(n))
	case sizeType:
		return Size(n).String()
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

func smallWord(t reflect.Type) string {
	if t == durationType {
		return "short"
	}
	return "small"
}

// RangeText says in a sentence what the values of a key are, such as "At least 1s.", or is
// empty where they have no bounds of their own. The entries of a list have [] in their keys.
func RangeText(key string) string {
	b, known := keyBounds[key]
	if !known {
		return ""
	}
	t := typeOf(key)
	var text string
	switch least, most := showNumber(b.least, t), showNumber(b.most, t); {
	case b.least > 0 && b.most > 0:
		text = least + " to " + most
	case b.most > 0:
		return "At most " + most + "."
	default:
		text = "at least " + least
	}
	if permitsZero(key) {
		return "If not 0, " + text + "."
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// typeOf is the type of the values of a key.
func typeOf(key string) reflect.Type {
	t := reflect.TypeFor[Config]()
	for name := range strings.SplitSeq(key, ".") {
		list := strings.HasSuffix(name, "[]")
		for i := range t.NumField() {
			if t.Field(i).Tag.Get("mapstructure") == strings.TrimSuffix(name, "[]") {
				t = t.Field(i).Type
				break
			}
		}
		if list {
			t = t.Elem()
		}
	}
	return t
}

// schemaBounds adds the bounds of a number to its schema.
func schemaBounds(schema map[string]any, key string, zero bool) map[string]any {
	b := keyBounds[key]
	least, most := b.least, b.most
	if schema["type"] == "integer" {
		if most == 0 {
			most = maxNumber
		}
		if least == 0 && !zero {
			least = 1
		}
	}
	schema["minimum"] = schemaNumber(least)
	if most > 0 {
		schema["maximum"] = schemaNumber(most)
	}
	if zero && least > 0 {
		return map[string]any{"anyOf": []any{schema, map[string]any{"const": 0}}}
	}
	return schema
}

// schemaNumber has whole numbers without a fraction or an exponent.
func schemaNumber(n float64) any {
	if n == math.Trunc(n) {
		return int64(n)
	}
	return n
}
