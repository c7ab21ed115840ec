package tracing

import (
	"fmt"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The variables of OpenTelemetry that are looked at before it reads them: what it cannot use, it
// replaces with a default, and says little or nothing of that.
const (
	tracesPrefix = "OTEL_EXPORTER_OTLP_TRACES_"
	otlpPrefix   = "OTEL_EXPORTER_OTLP_"
	samplerName  = "OTEL_TRACES_SAMPLER"
	samplerArg   = "OTEL_TRACES_SAMPLER_ARG"
)

// samplers are those that the SDK has.
var samplers = []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}

// CheckEnvironment returns the error that FromEnvironment would return for what cannot be exported,
// and warnings of variables that would count for nothing.
func CheckEnvironment() (warnings []string, err error) { return check(os.Getenv) }

func check(getenv func(string) string) (warnings []string, err error) {
	on, err := enabled(getenv)
	if err != nil || !on {
		return nil, err
	}
	warn := func(name, value, why string) {
		warnings = append(warnings, fmt.Sprintf("%s %q is ignored: %s", name, value, why))
	}
	for _, prefix := range []string{tracesPrefix, otlpPrefix} {
		get := func(name string) (string, string) { return prefix + name, strings.TrimSpace(getenv(prefix + name)) }
		if name, value := get("ENDPOINT"); value != "" && !isCollector(value) {
			return warnings, fmt.Errorf("%s %q is not an http or https URL, such as http://collector.example:4318", name, withoutUser(value))
		}
		if name, value := get("TIMEOUT"); value != "" && !isWhole(value) {
			warn(name, value, "it is not a number of milliseconds, such as 10000")
		}
		if name, value := get("COMPRESSION"); value != "" && value != "gzip" && value != "none" {
			warn(name, value, "it is neither gzip nor none")
		}
		if name, value := get("HEADERS"); value != "" && !areHeaders(value) { // whose values are secrets
			warnings = append(warnings, name+" is ignored in part: it is not a list of name=value with commas between")
		}
	}
	sampler, arg := strings.TrimSpace(getenv(samplerName)), strings.TrimSpace(getenv(samplerArg))
	switch {
	case sampler != "" && !slices.Contains(samplers, strings.ToLower(sampler)):
		warn(samplerName, sampler, "all traces are sampled; use "+strings.Join(samplers, ", "))
	case arg == "":
	case !strings.HasSuffix(strings.ToLower(sampler), "traceidratio"):
		warn(samplerArg, arg, samplerName+" is not traceidratio or parentbased_traceidratio")
	case !isRatio(arg):
		warn(samplerArg, arg, "it is not a number from 0 to 1, so all traces are sampled")
	}
	return warnings, nil
}

func isCollector(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && port > 0
}

// withoutUser leaves out what is before the host, which may be a password.
func withoutUser(text string) string {
	return text[strings.LastIndexByte(text, '@')+1:]
}

func isWhole(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 0
}

func isRatio(text string) bool {
	ratio, err := strconv.ParseFloat(text, 64)
	return err == nil && !math.IsNaN(ratio) && ratio >= 0 && ratio <= 1
}

func areHeaders(text string) bool {
	for header := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(header, "=")
		if _, err := url.PathUnescape(value); !ok || err != nil || strings.TrimSpace(name) == "" {
			return false
		}
	}
	return true
}
