package config

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
)

// Size is a number of bytes, which a configuration writes with a unit, such as 64MiB.
type Size int64

// sizeUnits are the units of sizes, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// String returns the size in the largest unit of which it is a whole number.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, unit := range sizeUnits {
		if int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// ParseSize reads a size such as 64MiB, 1.5GB or 0. Capitals do not matter; a number
// without a unit is an error.
func ParseSize(text string) (Size, error) {
	text = strings.TrimSpace(text)
	end := len(text)
	for end > 0 && (text[end-1] < '0' || text[end-1] > '9') && text[end-1] != '.' {
		end--
	}
	number, ok := new(big.Rat).SetString(text[:end])
	unit := strings.TrimSpace(text[end:])
	switch {
	case !ok || strings.ContainsAny(text[:end], "/eE_xXbBoOpP"):
		return 0, fmt.Errorf("%q is not a size, such as 512B, 64KiB, 8MiB or 1GiB", text)
	case unit == "" && number.Sign() == 0:
		return 0, nil
	case unit == "":
		return 0, noSizeUnit(text)
	}
	for _, known := range sizeUnits {
		if strings.EqualFold(unit, known.name) {
			number.Mul(number, new(big.Rat).SetInt64(known.bytes))
			if !number.IsInt() || !number.Num().IsInt64() {
				return 0, fmt.Errorf("size %q is not a whole number of bytes, or too large", text)
			}
			return Size(number.Num().Int64()), nil
		}
	}
	return 0, fmt.Errorf("size %q has the unit %q; use B, KiB, MiB, GiB or TiB, or kB, MB, GB or TB", text, unit)
}

// noSizeUnit is the error of a number. It says what may have been meant.
func noSizeUnit(number string) error {
	hint := "512B, 64KiB or 8MiB"
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n > 0 {
		hint = Size(n).String()
	}
	return fmt.Errorf("size %s has no unit; for bytes write %s", number, hint)
}

// noTimeUnit is the error of a number where a duration belongs.
func noTimeUnit(number string) error {
	return fmt.Errorf("time %s has no unit; for seconds write %ss", number, number)
}

// parseDuration reads a duration such as 30s or 1h30m.
func parseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseFloat(text, 64); err == nil && n != 0 && !math.IsInf(n, 0) {
		return 0, noTimeUnit(text)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time, such as 500ms, 30s, 5m or 24h", text)
	}
	return d, nil
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()

	expressionsType = reflect.TypeFor[Expressions]()
)

// withUnits is a hook of the decoder that has times and sizes carry their units.
func withUnits(from, to reflect.Type, value any) (any, error) {
	if to != durationType && to != sizeType || from == to {
		return value, nil
	}
	text := ""
	switch from.Kind() {
	case reflect.String:
		text = reflect.ValueOf(value).String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		text = fmt.Sprint(value)
	case reflect.Float32, reflect.Float64:
		text = strconv.FormatFloat(reflect.ValueOf(value).Float(), 'f', -1, 64)
	default:
		return nil, errors.New("it is neither text nor a number")
	}
	if to == sizeType {
		return ParseSize(text)
	}
	return parseDuration(text)
}

// exactly is a hook of the decoder that refuses what would be read as something else: 1.5 as the
// number 1, 2 as true, true as the number 1, and 010 as 8.
func exactly(from, to reflect.Type, value any) (any, error) {
	if to == durationType || to == sizeType || to.Kind() == reflect.Interface {
		return value, nil
	}
	toBool, toWhole := to.Kind() == reflect.Bool, to.Kind() == reflect.Int || to.Kind() == reflect.Int64
	switch number := reflect.ValueOf(value); {
	case from.Kind() == reflect.String && toBool:
		return parseSwitch(number.String())
	case from.Kind() == reflect.String && toWhole:
		return parseWhole(number.String())
	case from.Kind() == reflect.String && to.Kind() == reflect.Float64:
		return parseNumber(number.String())
	case from.Kind() == reflect.Bool && !toBool:
		return nil, fmt.Errorf("it cannot be %v", value)
	case from.Kind() != reflect.Bool && toBool:
		return nil, fmt.Errorf("%v is neither true nor false", value)
	case toWhole && number.CanFloat():
		return wholeOf(number.Float())
	}
	return value, nil
}

func parseSwitch(text string) (any, error) {
	on, err := strconv.ParseBool(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("%q is neither true nor false", text)
	}
	return on, nil
}

func parseNumber(text string) (any, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", text)
	}
	return n, nil
}

// parseWhole reads a number that is written to the base of ten.
func parseWhole(text string) (any, error) {
	digits := strings.TrimSpace(text)
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return nil, fmt.Errorf("%s is more than a number can be", digits)
	case err != nil:
		return nil, fmt.Errorf("%q is not a whole number, such as 100", text)
	case octal.MatchString(digits):
		return nil, fmt.Errorf("%s begins with 0; write it without", digits)
	}
	return n, nil
}

// wholeOf is a number such as 1e6, if it is a whole one.
func wholeOf(n float64) (any, error) {
	switch {
	case n != math.Trunc(n) || math.IsInf(n, 0): // which NaN is not
		return nil, fmt.Errorf("%v is not a whole number", n)
	case math.Abs(n) >= math.MaxInt64:
		return nil, fmt.Errorf("%v is more than a number can be", n)
	}
	return int64(n), nil
}

// asList is a hook of the decoder that reads a list with commas, as variables have it.
func asList(from, to reflect.Type, value any) (any, error) {
	if from.Kind() != reflect.String || to.Kind() != reflect.Slice {
		return value, nil
	}
	text := strings.TrimSpace(reflect.ValueOf(value).String())
	if text == "" {
		return []string{}, nil
	}
	split := func(text string) []string { return strings.Split(text, ",") }
	if to == expressionsType {
		split = splitExpressions
	}
	list := split(text)
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list, nil
}

// Expressions are regular expressions.
type Expressions []string

// splitExpressions splits at commas that are not in brackets: those belong to an expression, as
// in {1,3} and [,;].
func splitExpressions(text string) (list []string) {
	depth, class, begin := 0, -1, 0 // class is where the class of characters began that the text is in
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			if i++; i < len(text) && text[i] == ',' {
				continue
			}
		case class >= 0:
			first := i == class+1 || i == class+2 && text[class+1] == '^'
			if end := strings.Index(text[i:], ":]"); strings.HasPrefix(text[i:], "[:") && end > 0 {
				i += end + 1
			} else if c == ']' && !first {
				class = -1
			}
		case c == '[':
			class = i
		case c == '(' || c == '{':
			depth++
		case c == ')' || c == '}':
			depth = max(depth-1, 0)
		case c == ',' && depth == 0:
			list, begin = append(list, text[begin:i]), i+1
		}
	}
	return append(list, text[begin:])
}

// decodeHook turns texts into what settings are.
func decodeHook() mapstructure.DecodeHookFunc {
	return mapstructure.ComposeDecodeHookFunc(mapstructure.DecodeHookFuncType(exactly), mapstructure.DecodeHookFuncType(withUnits), mapstructure.DecodeHookFuncType(asList))
}
