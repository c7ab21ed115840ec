package frames

import "strconv"

// AppendCommand appends the first line of a frame.
func AppendCommand(dst []byte, command string) []byte {
	dst = append(dst, command...)
	return append(dst, '\n')
}

// AppendHeader appends one header line, escaped as the version wants it. In
// 1.0, which has no escapes, line ends in a value become spaces.
func AppendHeader(dst []byte, name, value string, v Version) []byte {
	dst = appendEscaped(dst, name, v, true)
	dst = append(dst, ':')
	dst = appendEscaped(dst, value, v, false)
	return append(dst, '\n')
}

// AppendBody appends the content-length header, the empty line, the body and
// the NUL that ends the frame.
func AppendBody(dst, body []byte) []byte {
	dst = append(dst, ContentLength...)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, '\n', '\n')
	dst = append(dst, body...)
	return append(dst, 0)
}

// Append appends f as it travels in version v. Frames that may have a body get
// a content-length, in place of one among the headers that may be wrong.
// CONNECT and CONNECTED are not escaped, as the specification wants; line ends
// in their headers become spaces.
func Append(dst []byte, f *Frame, v Version) []byte {
	if isUnescaped(f.Command) {
		v = V10
	}
	dst = AppendCommand(dst, f.Command)
	for _, h := range f.Headers {
		if h.Name != ContentLength {
			dst = AppendHeader(dst, h.Name, h.Value, v)
		}
	}
	if mayHaveBody(f.Command) {
		return AppendBody(dst, f.Body)
	}
	return append(dst, '\n', 0)
}
