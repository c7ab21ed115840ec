package relay

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// The client's headers are listed in stompbox-headers, in their order, with a space
// between. An entry without '=' is the name of a header of the NATS message, which has
// the value. One with '=' is a name and a value, both escaped: so travels what a NATS
// header cannot carry, what NATS, JetStream or a node could take for its own, and a
// name that came before.

// pack adds the headers that may travel under their own names to h, and returns the
// list of all.
func pack(h nats.Header, headers frames.Headers) string {
	if len(headers) == 0 {
		return ""
	}
	b := make([]byte, 0, 64)
	for i, header := range headers {
		if i > 0 {
			b = append(b, ' ')
		}
		if _, twice := h[header.Name]; !twice && isPlainName(header.Name) && survives(header.Value) {
			h[header.Name] = []string{header.Value}
			b = append(b, header.Name...)
			continue
		}
		b = appendEscaped(b, header.Name, isPackedByte)
		b = append(b, '=')
		b = appendEscaped(b, header.Value, isPackedByte)
	}
	return string(b)
}

// unpack returns the headers that the list of a node's message names.
func unpack(h nats.Header) frames.Headers {
	list := h[headerPacked][0]
	if list == "" {
		return nil
	}
	all := make(frames.Headers, 0, strings.Count(list, " ")+1)
	for entry := range strings.SplitSeq(list, " ") {
		name, value, packed := strings.Cut(entry, "=")
		if packed {
			name, value = unescape(name), unescape(value)
		} else if values := h[name]; len(values) > 0 {
			value = values[0]
		} else {
			continue
		}
		if !driver.IsStamped(name) {
			all = all.With(name, value)
		}
	}
	return all
}

// isPlainName reports whether a client's header may travel under its own name.
func isPlainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return name != "" && !isControl(name) && !containsFold(tracingNames, name) && !driver.IsStamped(strings.ToLower(name))
}

// controlPrefixes begin the names of headers that NATS, JetStream and nodes give a
// meaning to; controlNames are those that the status line of an answer reads as.
var (
	controlPrefixes = []string{"nats-", "nmqtt-", "stompbox-"}
	controlNames    = []string{"status", "description"}
	// tracingNames are what a server may begin a trace for, or answer in another encoding.
	tracingNames = []string{"traceparent", "tracestate", "accept-encoding", "kv-operation"}
)

// isControl reports whether a header's name could be taken for one that NATS, JetStream
// or a node set. Libraries differ in whether case counts, so it does not here.
func isControl(name string) bool {
	for _, prefix := range controlPrefixes {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return containsFold(controlNames, name)
}

func containsFold(names []string, name string) bool {
	for _, listed := range names {
		if strings.EqualFold(listed, name) {
			return true
		}
	}
	return false
}

// survives reports whether a NATS header can carry a value as it is.
func survives(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] == 0x7f {
			return false
		}
	}
	return value == "" || value[0] != ' ' && value[len(value)-1] != ' '
}

// isNameByte reports whether a byte may stand in one word of what nodes say.
func isNameByte(c byte) bool { return c > ' ' && c < 0x7f && c != ':' && c != '%' && c != ',' }

// isValueByte reports whether a byte survives in an encoded value.
func isValueByte(c byte) bool { return c > ' ' && c != 0x7f && c != '%' }

// isPackedByte reports whether a byte stands for itself in stompbox-headers.
func isPackedByte(c byte) bool { return c > ' ' && c != 0x7f && c != '%' && c != '=' }

func escape(s string, ok func(byte) bool) string {
	for i := range len(s) {
		if !ok(s[i]) {
			return string(appendEscaped(make([]byte, 0, len(s)+8), s, ok))
		}
	}
	return s
}

func appendEscaped(b []byte, s string, ok func(byte) bool) []byte {
	for i := range len(s) {
		if ok(s[i]) {
			b = append(b, s[i])
		} else {
			b = fmt.Appendf(b, "%%%02X", s[i])
		}
	}
	return b
}

// unescape reverses escape. A percent sign that begins no escape stays.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
