package frames

// special are the octets that cannot always stand in a header as they are.
var special = [256]bool{0: true, '\n': true, '\r': true, ':': true, '\\': true}

// escaped reports whether the headers of this frame are escaped.
func (p *progress) escaped(v Version) bool {
	return v.escapes() && !isUnescaped(p.command)
}

// unescape replaces the escapes of all headers in place: what an escape stands
// for is never longer than the escape (STOMP 1.2, "Value Encoding"). It changes
// nothing where one of them is not defined.
func (p *progress) unescape(head []byte, v Version) *Error {
	for _, s := range p.spans {
		for _, part := range [][]byte{s.nameIn(head), s.valueIn(head)} {
			if !escapesDefined(part, v) {
				return undefinedEscape(part, v)
			}
		}
	}
	for i := range p.spans {
		s := &p.spans[i]
		nameEnd, err := unescapeIn(head, s.name, s.nameEnd, v)
		if err != nil {
			return err
		}
		valueEnd, err := unescapeIn(head, s.value, s.valueEnd, v)
		if err != nil {
			return err
		}
		s.nameEnd, s.valueEnd = nameEnd, valueEnd
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

// unescapeIn unescapes b[from:to] in place and returns the new end.
func unescapeIn(b []byte, from, to int32, v Version) (int32, *Error) {
	w := from
	for r := from; r < to; r++ {
		c := b[r]
		if c == '\\' {
			r++
			var next byte
			if r < to {
				next = b[r]
			}
			switch {
			case next == 'n':
				c = '\n'
			case next == 'c':
				c = ':'
			case next == '\\':
				c = '\\'
			case next == 'r' && v >= V12:
				c = '\r'
			default:
				return 0, undefinedEscape(b[from:to], v)
			}
		}
		b[w] = c
		w++
	}
	return w, nil
}

func undefinedEscape(in []byte, v Version) *Error {
	defined := `\n, \c and \\`
	if v >= V12 {
		defined = `\r, \n, \c and \\`
	}
	return errorf(CodeEscape, "undefined escape in header %s: STOMP %s defines %s", quote(in), v, defined)
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
