package destination

import "strings"

// EscapeSegment returns a user's name as the one segment that it is in a
// destination: '/' and '%', and the wildcards '*' and '>', are percent-encoded.
func EscapeSegment(name string) string {
	if !strings.ContainsAny(name, "/%*>") {
		return name
	}
	return segmentEscapes.Replace(name)
}

// UnescapeSegment returns the user's name that a segment stands for. A percent
// sign that begins no escape stands for itself.
func UnescapeSegment(segment string) string {
	if !strings.Contains(segment, "%") {
		return segment
	}
	return segmentUnescapes.Replace(segment)
}

var (
	segmentEscapes   = strings.NewReplacer("/", "%2F", "%", "%25", "*", "%2A", ">", "%3E")
	segmentUnescapes = strings.NewReplacer("%2F", "/", "%2f", "/", "%25", "%", "%2A", "*", "%2a", "*", "%3E", ">", "%3e", ">")
)

// UserKey returns the routing key of a user's own /user/<rest>: the same with the
// user in it, spelled in one way, whatever a sender escaped.
func UserKey(user, own string) string {
	return UserPrefix + EscapeSegment(user) + strings.TrimPrefix(own, "/user")
}

// SplitUser splits /user/<user>/<rest> into the user segment and /user/<rest>. It
// reports false where one of them is missing.
func SplitUser(name string) (user, own string, ok bool) {
	user, rest, ok := strings.Cut(strings.TrimPrefix(name, UserPrefix), "/")
	if !ok || user == "" || rest == "" {
		return "", "", false
	}
	return user, UserPrefix + rest, true
}
