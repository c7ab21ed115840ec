package broker

import (
	"strings"

	"github.com/stompbox/stompbox/destination"
)

// admission decides what a session may send and subscribe to.
type admission struct{ *Broker }

// classify returns the kind of a destination, or an error that says what is
// wrong with it.
func (b admission) classify(name string) (destination.Kind, error) {
	if name == "" {
		return 0, errorf(CodeMissingHeader, "the destination header is missing or empty")
	}
	if limit := b.settings().limits.MaxDestination; len(name) > limit {
		return 0, errorf(CodeDestination, "the destination has %d bytes; the limit is %d", len(name), limit).of("destination")
	}
	if err := checkLength(name); err != nil {
		return 0, err
	}
	kind, err := destination.KindOf(name)
	if err != nil {
		return 0, badDestination(name, err.Error())
	}
	return kind, nil
}

// reservedLen is kept of [destination.MaxEncoded] for what the broker adds to names:
// that of a dead-letter queue, or of a topic's presence.
const reservedLen = 256

// checkLength refuses a destination or routing key that a backend could not carry, and
// one with a NUL, which no frame can have.
func checkLength(name string) *Error {
	if err := destination.CheckEncoded(name, destination.MaxEncoded-reservedLen); err != nil {
		return errorf(CodeDestination, "destination %.40q: %s", name, err)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return errorf(CodeDestination, "destination %.40q: it has a NUL", name)
	}
	return nil
}

// checkPattern refuses a pattern that takes much memory, or much time with each message.
func (b admission) checkPattern(p destination.Pattern) *Error {
	words, wildcards := len(p.Words()), 0
	for _, word := range p.Words() {
		if destination.IsWildcard(word[1:]) {
			wildcards++
		}
	}
	l := &b.settings().limits
	switch {
	case wildcards == 0: // a name, which MaxDestination bounds
		return nil
	case l.MaxPatternWords > 0 && words > l.MaxPatternWords:
		return errorf(CodeDestination, "destination %q: a pattern may have %d words, and this one has %d; end it with ** sooner, or raise limits.pattern_words", p.String(), l.MaxPatternWords, words).of("pattern_words")
	case l.MaxWildcards > 0 && wildcards > l.MaxWildcards:
		return errorf(CodeDestination, "destination %q: a pattern may have %d wildcards, and this one has %d; end it with ** sooner, or raise limits.pattern_wildcards", p.String(), l.MaxWildcards, wildcards).of("pattern_wildcards")
	}
	return nil
}

func badDestination(name, why string) *Error {
	return errorf(CodeDestination, "destination %q: %s", name, why)
}

func forbidden(name, permission string) *Error {
	return errorf(CodeForbidden, "destination %q: no %s permission for it", name, permission)
}
