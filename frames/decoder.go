package frames

import (
	"bytes"
	"math"
	"unicode/utf8"
	"unsafe"
)

// Decoder turns a stream of bytes into frames. Feed it what arrived, then call
// Next until it has no more; a frame may span any number of Feeds, and one Feed
// may hold any number of frames. Between frames it keeps no buffer.
//
// A Decoder is not safe for concurrent use.
type Decoder struct {
	limits  *Limits
	version Version

	in  []byte // what was fed and is not used yet; belongs to the caller of Feed
	acc []byte // the start of a frame that did not fit in one Feed, or nil
	err error

	cur progress
}

const (
	// noFrame marks an incomplete frame: more bytes are needed.
	noFrame = 0
	// longestCommand bounds the first line: UNSUBSCRIBE and a CR.
	longestCommand = len(UNSUBSCRIBE) + 1
)

// NewDecoder returns a decoder that has negotiated no version yet. Limits that
// are zero have their defaults; limits must not change while the decoder lives,
// and may be shared by many decoders.
func NewDecoder(limits *Limits) *Decoder {
	d := new(Decoder)
	d.Init(limits)
	return d
}

// Init makes a zero Decoder ready, for decoders that are a field of something
// else. It keeps the pointer.
func (d *Decoder) Init(limits *Limits) {
	if l := limits.WithDefaults(); l != *limits {
		limits = &l
	}
	d.limits = limits
	d.cur.length = -1
}

// UseLimits has other limits hold from the next frame on, where none is incomplete. It
// keeps the pointer, of limits whose defaults are filled in.
func (d *Decoder) UseLimits(limits *Limits) {
	if d.limits != limits && d.acc == nil {
		d.limits = limits
	}
}

// SetVersion tells the decoder which version was negotiated: from the next
// frame on its rules for escapes, padding and ends of lines apply.
func (d *Decoder) SetVersion(v Version) { d.version = v }

// Feed gives the decoder the next bytes of the stream. All frames of the Feed
// before must have been taken with Next. The decoder reads p until Next returns
// false, and has copied what it still needs by then.
func (d *Decoder) Feed(p []byte) { d.in = p }

// Partial reports whether a frame has begun and is not complete.
func (d *Decoder) Partial() bool { return d.acc != nil }

// End says that the stream has ended. It returns an [*Error] with [CodeTruncated] where
// that was inside a frame, or the one that Next has returned.
func (d *Decoder) End() error {
	if d.err != nil || d.acc == nil {
		return d.err
	}
	name := d.cur.command
	if name == "" {
		name = "frame"
	} else {
		name += " frame"
	}
	return d.fail(d.acc, errorf(CodeTruncated, "the stream ended inside a %s, after %d bytes of it; a frame ends in a NUL, also without a body", name, len(d.acc)))
}

// Buffered returns how many bytes are kept of a frame that is not complete.
func (d *Decoder) Buffered() int { return cap(d.acc) }

// Next stores the next complete frame in f and returns true, or returns false
// when more bytes are needed. f.Headers is reused when it has room; its
// strings and the body are never touched again by the decoder. An error is an
// [*Error] and final: Next returns it again from then on.
//
// Bytes between frames that are ends of line (heart-beats and padding) are
// skipped.
func (d *Decoder) Next(f *Frame) (bool, error) {
	if d.err != nil {
		return false, d.err
	}
	if d.acc == nil {
		d.skipEOLs()
		end, err := d.scan(d.in)
		if err != nil {
			return false, d.fail(d.in, err)
		}
		if end == noFrame {
			d.keep()
			return false, nil
		}
		raw := bytes.Clone(d.in[:end])
		d.in = d.in[end:]
		return d.finish(f, raw)
	}
	before := len(d.acc)
	d.acc = append(d.acc, d.in[:d.wanted()]...)
	end, err := d.scan(d.acc)
	if err != nil {
		return false, d.fail(d.acc, err)
	}
	if end == noFrame {
		d.in = nil
		return false, nil
	}
	raw := d.acc[:end]
	d.in = d.in[end-before:]
	d.acc = nil
	return d.finish(f, raw)
}

func (d *Decoder) skipEOLs() {
	for len(d.in) > 0 && (d.in[0] == '\n' || d.in[0] == '\r') {
		d.in = d.in[1:]
	}
}

// keep copies the start of an incomplete frame, since the caller's buffer is
// about to be used for something else.
func (d *Decoder) keep() {
	if len(d.in) == 0 {
		return
	}
	d.acc = append(make([]byte, 0, len(d.in)+64), d.in...)
	d.in = nil
}

// wanted returns how much of the input can belong to the current frame.
func (d *Decoder) wanted() int {
	if d.cur.length < 0 {
		return len(d.in)
	}
	return min(len(d.in), d.cur.body+d.cur.length+1-len(d.acc))
}

// scan goes on with the current frame, which starts at data[0], and returns its
// end, or noFrame.
func (d *Decoder) scan(data []byte) (end int, err *Error) {
	for d.cur.body == 0 {
		eol := bytes.IndexByte(data[d.cur.scanned:], '\n')
		if eol < 0 {
			d.cur.scanned = len(data)
			return noFrame, d.checkOpenLine(data[d.cur.line:])
		}
		next := d.cur.scanned + eol + 1
		line := data[d.cur.line : next-1]
		if n := len(line) - 1; n >= 0 && line[n] == '\r' && (d.allowsCR() || d.cur.command == "") {
			line = line[:n]
			d.cur.crlf = true
		}
		switch {
		case d.cur.command == "":
			err = d.commandLine(line)
		case len(line) == 0:
			d.cur.body = next
			err = d.headEnds(data)
		default:
			err = d.headerLine(data, line)
		}
		if err != nil {
			return noFrame, err
		}
		d.cur.line, d.cur.scanned = next, next
	}
	return d.scanBody(data)
}

// allowsCR reports whether lines of the current frame may end in CR LF: those of 1.2, and
// in every version those of a frame whose command does, since no command ends in CR.
func (d *Decoder) allowsCR() bool { return d.cur.crlf || d.version.allowsCR() }

func (d *Decoder) scanBody(data []byte) (end int, err *Error) {
	if d.cur.length >= 0 {
		end = d.cur.body + d.cur.length + 1
		if len(data) < end {
			return noFrame, nil
		}
		if data[end-1] != 0 {
			return noFrame, errorf(CodeContentLength, "content-length is %d, but byte %d after the headers is not the NUL that ends a frame", d.cur.length, d.cur.length+1)
		}
		return end, nil
	}
	nul := bytes.IndexByte(data[d.cur.scanned:], 0)
	length := len(data) - d.cur.body
	if nul >= 0 {
		length = d.cur.scanned + nul - d.cur.body
	}
	if d.isPadding(data[d.cur.body : d.cur.body+length]) {
		length = 0
	}
	if err := d.checkBody(length); err != nil {
		return noFrame, err
	}
	if nul < 0 {
		d.cur.scanned = len(data)
		return noFrame, nil
	}
	return d.cur.scanned + nul + 1, nil
}

// maxPadding bounds the ends of line between the headers of a frame without a body
// and its NUL.
const maxPadding = 16

// isPadding reports whether what stands in place of a body is only the ends of line
// that some clients write there, in every version, after the empty line.
func (d *Decoder) isPadding(body []byte) bool {
	if mayHaveBody(d.cur.command) || len(body) > maxPadding {
		return false
	}
	for _, c := range body {
		if c != '\n' && c != '\r' {
			return false
		}
	}
	return true
}

// checkOpenLine applies the limits to a line whose end has not arrived.
func (d *Decoder) checkOpenLine(line []byte) *Error {
	if d.cur.command == "" {
		if len(line) > longestCommand || bytes.IndexByte(line, 0) >= 0 {
			return unknownCommand(line)
		}
		return nil
	}
	if len(line) > d.limits.MaxHeaderLine+1 {
		return d.lineTooLong()
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return nulInHeaders()
	}
	return nil
}

func (d *Decoder) commandLine(line []byte) *Error {
	if d.version <= V10 { // the first frame's version is not known yet
		line = bytes.TrimSpace(line)
	}
	d.cur.command = command(line)
	if d.cur.command == "" {
		return unknownCommand(line)
	}
	return nil
}

func (d *Decoder) headerLine(data, line []byte) *Error {
	if len(line) > d.limits.MaxHeaderLine {
		return d.lineTooLong()
	}
	if len(d.cur.spans) == d.limits.MaxHeaders {
		return errorf(CodeHeaderCount, "too many headers: a frame may have %d", d.limits.MaxHeaders)
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return nulInHeaders()
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return errorf(CodeHeader, "header line %d has no colon; a header is name:value, and an empty line ends the headers", len(d.cur.spans)+1)
	}
	start := int32(d.cur.line)
	s := span{name: start, nameEnd: start + int32(colon), value: start + int32(colon) + 1, valueEnd: start + int32(len(line))}
	if d.version == V10 {
		s.trim(data)
	}
	if s.name == s.nameEnd {
		return errorf(CodeHeader, "header line %d has an empty name", len(d.cur.spans)+1)
	}
	d.cur.spans = append(d.cur.spans, s)
	return nil
}

// headEnds checks the headers as a whole and finds out how the body ends. The
// content-length of a command without a body does not count: some clients send an ACK
// with all headers of the MESSAGE.
func (d *Decoder) headEnds(data []byte) *Error {
	head := data[:d.cur.body]
	if !utf8.Valid(head) {
		return errorf(CodeUTF8, "the headers are not valid UTF-8")
	}
	if !mayHaveBody(d.cur.command) {
		return nil
	}
	for _, s := range d.cur.spans {
		if string(s.nameIn(data)) != ContentLength {
			continue
		}
		n, err := contentLength(s.valueIn(data))
		if err != nil {
			return err
		}
		if err := d.checkBody(n); err != nil {
			return err
		}
		d.cur.length = n
		break
	}
	return nil
}

func (d *Decoder) checkBody(length int) *Error {
	if length > d.limits.MaxBody {
		return errorf(CodeBodySize, "the body is larger than the limit of %d bytes", d.limits.MaxBody)
	}
	if length > 0 && !mayHaveBody(d.cur.command) {
		return errorf(CodeBody, "a %s frame must not have a body", d.cur.command)
	}
	return nil
}

func contentLength(value []byte) (int, *Error) {
	n := 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, errorf(CodeContentLength, "content-length %s is not a number of bytes", quote(value))
		}
		if n = n*10 + int(c-'0'); n > math.MaxInt32 {
			n = math.MaxInt32 // far over every limit, and cannot overflow
		}
	}
	if len(value) == 0 {
		return 0, errorf(CodeContentLength, "content-length is empty")
	}
	return n, nil
}

// finish fills f with views of raw, which belongs to the frame from now on.
func (d *Decoder) finish(f *Frame, raw []byte) (bool, error) {
	head := raw[:d.cur.body]
	if d.cur.escaped(d.version) && bytes.IndexByte(head, '\\') >= 0 {
		if err := d.cur.unescape(head, d.version); err != nil {
			return false, d.fail(raw, err)
		}
	}
	text := unsafe.String(&raw[0], d.cur.body) //nolint:gosec // raw is the frame's own, and nothing writes to it from now on
	f.Command = d.cur.command
	f.Headers = f.Headers[:0]
	for _, s := range d.cur.spans {
		f.Headers = append(f.Headers, Header{text[s.name:s.nameEnd], text[s.value:s.valueEnd]})
	}
	bodyEnd := len(raw) - 1
	if !mayHaveBody(f.Command) {
		bodyEnd = d.cur.body
	}
	f.Body = raw[d.cur.body:bodyEnd:bodyEnd]
	d.cur = progress{spans: d.cur.spans[:0], length: -1}
	return true, nil
}

// fail makes err final, with the receipt that the broken frame asked for.
func (d *Decoder) fail(data []byte, err *Error) error {
	err.Receipt = d.receiptOf(data)
	d.err = err
	d.in, d.acc = nil, nil
	return err
}

// receiptOf looks for a receipt header in what there is of a broken frame: among the
// headers that were read, and then in the lines from the one that is wrong on.
func (d *Decoder) receiptOf(data []byte) string {
	for _, s := range d.cur.spans {
		if string(s.nameIn(data)) == Receipt {
			return d.receiptIn(s.valueIn(data))
		}
	}
	if d.cur.body > 0 {
		return ""
	}
	for line := range bytes.Lines(data[d.cur.line:]) {
		text, whole := bytes.CutSuffix(line, []byte("\n"))
		if d.allowsCR() {
			text = bytes.TrimSuffix(text, []byte("\r"))
		}
		if !whole || len(text) == 0 || bytes.IndexByte(text, 0) >= 0 {
			return ""
		}
		name, value, _ := bytes.Cut(text, []byte(":"))
		if d.version == V10 {
			name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
		}
		if string(name) == Receipt && len(value) <= d.limits.MaxHeaderLine {
			return d.receiptIn(value)
		}
	}
	return ""
}

// receiptIn returns what a receipt header of a broken frame means, as the encoder
// escapes it again. A value whose escapes are wrong themselves is taken as it is.
func (d *Decoder) receiptIn(value []byte) string {
	if d.cur.escaped(d.version) && escapesDefined(value, d.version) {
		plain := bytes.Clone(value)
		return string(plain[:unescapeIn(plain, 0, int32(len(plain)))])
	}
	return string(value)
}

func (d *Decoder) lineTooLong() *Error {
	return errorf(CodeHeaderLine, "a header line is longer than the limit of %d bytes", d.limits.MaxHeaderLine)
}

// unknownCommand shows the line's first word where it is like a command. The rest may be
// anything, such as an HTTP path with a token in it.
func unknownCommand(line []byte) *Error {
	letters := 0
	for letters < len(line) && letters < longestCommand && isLetter(line[letters]) {
		letters++
	}
	word := line[:letters]
	whole := letters == len(line) || line[letters] <= ' '
	if upper := bytes.ToUpper(word); letters == 0 || !whole || !bytes.Equal(word, upper) && command(upper) == "" {
		return errorf(CodeCommand, "the first line is not a STOMP command, such as SEND")
	}
	if letters < len(line) && line[letters] < ' ' {
		letters++ // a CR may be what is wrong with it
	}
	return errorf(CodeCommand, "%s is not a STOMP command", quote(line[:letters]))
}

func isLetter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }

func nulInHeaders() *Error {
	return errorf(CodeHeader, "NUL byte in the headers; an empty line ends the headers, also of a frame without a body")
}
