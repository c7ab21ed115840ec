package frames

// Limits bound what one frame may hold, so that a peer cannot make the decoder
// keep more than MaxHeaders*MaxHeaderLine+MaxBody bytes. The zero value of a
// field means its default.
type Limits struct {
	// MaxHeaders is the greatest number of header entries in a frame. Default 64.
	MaxHeaders int
	// MaxHeaderLine is the greatest length of one header line in bytes,
	// without its end of line. Default 16384, which leaves room for large tokens.
	MaxHeaderLine int
	// MaxBody is the greatest length of a body in bytes. Default 4 MiB.
	MaxBody int
}

// The defaults of [Limits].
const (
	DefaultMaxHeaders    = 64
	DefaultMaxHeaderLine = 16 << 10
	DefaultMaxBody       = 4 << 20
)

// No frame holds more, whatever its Limits, so that no sum wraps around.
const (
	// HeadersCeiling is the greatest MaxHeaders.
	HeadersCeiling = 16384
	// BytesCeiling bounds the headers of a frame together, and its body.
	BytesCeiling = 1 << 30
)

// WithDefaults returns l with the defaults in place of zeros, and the greatest values in
// place of greater ones.
func (l Limits) WithDefaults() Limits {
	if l.MaxHeaders == 0 {
		l.MaxHeaders = DefaultMaxHeaders
	}
	if l.MaxHeaderLine == 0 {
		l.MaxHeaderLine = DefaultMaxHeaderLine
	}
	if l.MaxBody == 0 {
		l.MaxBody = DefaultMaxBody
	}
	l.MaxHeaders = min(l.MaxHeaders, HeadersCeiling)
	l.MaxHeaderLine = min(l.MaxHeaderLine, BytesCeiling/max(l.MaxHeaders, 1))
	l.MaxBody = min(l.MaxBody, BytesCeiling)
	return l
}
