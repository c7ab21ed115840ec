package trace

import "regexp"

// parent matches a traceparent (W3C Trace Context, 3.2).
var parent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

const (
	invalidVersion = "ff"
	zeroTrace      = "00000000000000000000000000000000"
	zeroSpan       = "0000000000000000"
)

// IsParent reports whether a text is a traceparent that names a span. What another program sent
// goes no further otherwise. It is safe for concurrent use.
func IsParent(text string) bool {
	return parent.MatchString(text) && text[:2] != invalidVersion && text[3:35] != zeroTrace && text[36:52] != zeroSpan
}
