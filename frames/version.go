package frames

import (
	"strings"
)

// Version is a version of the STOMP protocol. The zero Version means that none
// has been negotiated yet.
type Version uint8

// The versions that this package speaks.
const (
	V10 Version = 10
	V11 Version = 11
	V12 Version = 12
)

// Supported lists the versions that this package speaks, as the version header
// of an ERROR frame names them.
const Supported = "1.0,1.1,1.2"

// String returns the version as the accept-version and version headers spell it.
func (v Version) String() string {
	switch v {
	case V10:
		return "1.0"
	case V11:
		return "1.1"
	case V12:
		return "1.2"
	}
	return "none"
}

// NegotiateVersion returns the highest version in accept, the value of an
// accept-version header, that this package speaks. It returns an [*Error] with
// [CodeVersion] when there is no common version (STOMP 1.2, "Protocol
// Negotiation"), as in an empty list. Clients of 1.0 do not send the header; see
// [ConnectVersion].
func NegotiateVersion(accept string) (Version, error) {
	var best Version
	for version := range strings.SplitSeq(accept, ",") {
		var v Version
		switch strings.TrimSpace(version) {
		case "1.0":
			v = V10
		case "1.1":
			v = V11
		case "1.2":
			v = V12
		}
		best = max(best, v)
	}
	if best == 0 {
		return 0, errorf(CodeVersion, "accept-version %s has no version in common with this server; it speaks %s", quote(accept), Supported)
	}
	return best, nil
}

// ConnectVersion returns the version that a CONNECT asks for: 1.0 without an
// accept-version header. With it the rules of that version apply to the frame
// itself: the padding around names and values, which 1.0 clients write, is left out.
func ConnectVersion(f *Frame) (Version, error) {
	v := V10
	if accept, ok := f.Headers.Lookup(AcceptVersion); ok {
		var err error
		if v, err = NegotiateVersion(accept); err != nil {
			return 0, err
		}
	}
	if v == V10 {
		for i, h := range f.Headers {
			f.Headers[i] = Header{strings.Trim(h.Name, padding), strings.Trim(h.Value, padding)}
		}
	}
	return v, nil
}

// padding are the bytes that 1.0 clients put around names and values.
const padding = " \t"

// allowsCR reports whether lines may end in CR LF. Before a version is
// negotiated they may, since the client could turn out to speak 1.2.
func (v Version) allowsCR() bool { return v == V12 || v == 0 }

// escapes reports whether header names and values are escaped.
func (v Version) escapes() bool { return v >= V11 }
