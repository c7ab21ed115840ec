package broker

import (
	"strings"

	"github.com/stompbox/stompbox/auth"
)

// kind is what a destination begins with.
type kind uint8

const (
	kindTopic kind = iota + 1
	kindQueue
	kindUser
	kindApp
	kindReply
	kindTempQueue
	kindToken
)

// tokenDestination takes fresh tokens.
const tokenDestination = "/session/token"

var prefixes = []struct {
	prefix string
	kind   kind
}{
	{"/topic/", kindTopic}, {"/queue/", kindQueue}, {"/user/", kindUser}, {"/app/", kindApp},
	{"/reply/", kindReply}, {"/temp-queue/", kindTempQueue},
}

// classify returns the kind of a destination, or an error that says what is
// wrong with it.
func (b *Broker) classify(destination string) (kind, *Error) {
	if destination == "" {
		return 0, errorf(CodeMissingHeader, "the destination header is missing or empty")
	}
	if len(destination) > b.limits.MaxDestination {
		return 0, errorf(CodeDestination, "the destination has %d octets; the limit is %d", len(destination), b.limits.MaxDestination)
	}
	if destination == tokenDestination {
		return kindToken, nil
	}
	for _, p := range prefixes {
		if name, ok := strings.CutPrefix(destination, p.prefix); ok {
			if name == "" {
				return 0, badDestination(destination, "it has no name after "+p.prefix)
			}
			return p.kind, nil
		}
		if destination+"/" == p.prefix {
			return 0, badDestination(destination, "it has no name after "+p.prefix)
		}
	}
	return 0, badDestination(destination, "it has to begin with /topic/, /queue/, /user/ or /app/")
}

func badDestination(destination, why string) *Error {
	return errorf(CodeDestination, "destination %q: %s", destination, why)
}

func forbidden(destination, permission string) *Error {
	return errorf(CodeForbidden, "destination %q: no %s permission for it", destination, permission)
}

// splitUser splits /user/<user>/<rest> into the user segment and /user/<rest>.
func splitUser(destination string) (user, own string, err *Error) {
	user, rest, ok := strings.Cut(strings.TrimPrefix(destination, "/user/"), "/")
	if !ok || user == "" || rest == "" {
		return "", "", badDestination(destination, "a SEND to a user needs /user/<user>/<name>")
	}
	return user, "/user/" + rest, nil
}

// userKey is the routing key of one's own /user/<rest>. It spells the segment
// in one way, whatever a sender escaped.
func userKey(user, own string) string {
	return "/user/" + auth.EscapeSegment(user) + strings.TrimPrefix(own, "/user")
}
