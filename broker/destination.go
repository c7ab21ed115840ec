package broker

import "github.com/stompbox/stompbox/destination"

// classify returns the kind of a destination, or an error that says what is
// wrong with it.
func (b *Broker) classify(name string) (destination.Kind, *Error) {
	if name == "" {
		return 0, errorf(CodeMissingHeader, "the destination header is missing or empty")
	}
	if len(name) > b.limits.MaxDestination {
		return 0, errorf(CodeDestination, "the destination has %d octets; the limit is %d", len(name), b.limits.MaxDestination)
	}
	kind, err := destination.KindOf(name)
	if err != nil {
		return 0, badDestination(name, err.Error())
	}
	return kind, nil
}

func badDestination(name, why string) *Error {
	return errorf(CodeDestination, "destination %q: %s", name, why)
}

func forbidden(name, permission string) *Error {
	return errorf(CodeForbidden, "destination %q: no %s permission for it", name, permission)
}
