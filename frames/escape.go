package frames

// special are the bytes that cannot always stand in a header as they are.
var special = [256]bool{0: true, '\n': true, '\r': true, ':': true, '\\': true}

// escaped reports whether the headers of this frame are escaped.
func (p *progress) escaped(v Version) bool {
	return v.escapes() && !isUnescaped(p.command)
}

// unescape replaces the escapes of all headers in place: what an escape stands
// for is never longer than the escape (STOMP 1.2, "Value Encoding"). It changes
// nothing where one of them is not defined.
func (p *progress) unescape(head []byte, v Version) *Error {
	for i, s := range p.spans {
		if !escapesDefined(s.nameIn(head), v) || !escapesDefined(s.valueIn(head), v) {
			return undefinedEscape(i+1, v)
		}
	}
	for i := range p.spans {
		s := &p.spans[i]
		s.nameEnd = unescapeIn(head, s.name, s.nameEnd)
		s.valueEnd = unescapeIn(head, s.value, s.valueEnd)
	}
	return nil
}

// escapesDefined reports whether all escapes in b are those of the version.
func escapesDefined(b []byte, v Version) bool {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		i++
		if i == len(b) || b[i] != 'n' && b[i] != 'c' && b[i] != '\\' && (b[i] != 'r' || v < V12) {
			return false
		}
	}
	return true
}

// unescapeIn unescapes b[from:to], whose escapes are defined, in place and returns the
// new end.
func unescapeIn(b []byte, from, to int32) int32 {
	w := from
	for r := from; r < to; r++ {
		c := b[r]
		if c == '\\' {
			r++
			switch b[r] {
			case 'n':
				c = '\n'
			case 'c':
				c = ':'
			case 'r':
				c = '\r'
			}
		}
		b[w] = c
		w++
	}
	return w
}

// undefinedEscape does not show the header: it may be a credential.
func undefinedEscape(line int, v Version) *Error {
	defined := `\n, \c and \\`
	if v >= V12 {
		defined = `\r, \n, \c and \\`
	}
	return errorf(CodeEscape, "undefined escape in header line %d: STOMP %s defines %s", line, v, defined)
}

// appendEscaped appends s as a header name or value of the given version.
// STOMP 1.0 has no escapes, so there a line end becomes a space: it could
// otherwise begin a header that its sender never wrote.
func appendEscaped(dst []byte, s string, v Version, name bool) []byte {
	plain := 0
	for plain < len(s) && !special[s[plain]] {
		plain++
	}
	dst = append(dst, s[:plain]...)
	for i := plain; i < len(s); i++ {
		c := s[i]
		switch {
		case c == 0:
			dst = append(dst, ' ')
		case v.escapes() && c == '\n':
			dst = append(dst, '\\', 'n')
		case v.escapes() && c == ':':
			dst = append(dst, '\\', 'c')
		case v.escapes() && c == '\\':
			dst = append(dst, '\\', '\\')
		case v == V12 && c == '\r':
			dst = append(dst, '\\', 'r')
		case !v.escapes() && c == '\n':
			dst = append(dst, ' ')
		case !v.escapes() && name && c == ':':
			dst = append(dst, '_')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
