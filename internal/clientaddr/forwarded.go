package clientaddr

import "strings"

// element is what one proxy says in a Forwarded header (RFC 7239, 4); "" is what it leaves out.
type element struct{ client, proto string }

// forwarded returns the elements of Forwarded headers. A line that is not as the RFC has it is
// one element that says nothing: where a client made up a quote that does not end, or got one
// into what a proxy repeats, the parts do not mean what they seem to.
func forwarded(lines []string) (all []element) {
	for _, line := range lines {
		elements, ok := parseForwarded(line)
		if !ok {
			elements = []element{{}}
		}
		all = append(all, elements...)
	}
	return all
}

// set notes a parameter, and reports whether it is the first of its name (RFC 7239, 4): what
// a client got into a value that the proxy repeats could be another.
func (e *element) set(name, value string) bool {
	var parameter *string
	switch {
	case strings.EqualFold(name, "for"):
		parameter = &e.client
	case strings.EqualFold(name, "proto"):
		parameter = &e.proto
	default:
		return true
	}
	first := *parameter == ""
	*parameter = value
	return first && value != ""
}

func parseForwarded(line string) (all []element, ok bool) {
	var e element
	for {
		line = strings.TrimLeft(line, " \t")
		if line != "" && line[0] != ',' && line[0] != ';' {
			name, rest, found := strings.Cut(line, "=")
			if !found || !isToken(name) {
				return nil, false
			}
			value, rest, valid := nextValue(rest)
			if !valid {
				return nil, false
			}
			if !e.set(name, value) {
				return nil, false
			}
			line = strings.TrimLeft(rest, " \t")
		}
		switch {
		case line == "":
			return append(all, e), true
		case line[0] == ',':
			all, e = append(all, e), element{}
		case line[0] != ';':
			return nil, false
		}
		line = line[1:]
	}
}

// nextValue reads a value, quoted or not, and returns what follows it.
func nextValue(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ";, \t")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], !strings.Contains(text[:end], `"`)
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

func isToken(name string) bool {
	return name != "" && !strings.ContainsAny(name, " \t\",;()<>@:\\/[]?={}")
}
