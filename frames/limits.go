package frames

// Limits bound what one frame may hold, so that a peer cannot make the decoder
// keep more than MaxHeaders*MaxHeaderLine+MaxBody octets. The zero value of a
// field means its default.
type Limits struct {
	// MaxHeaders is the greatest number of header entries in a frame. Default 64.
	MaxHeaders int
	// MaxHeaderLine is the greatest length of one header line in octets,
	// without its end of line. Default 16384, which leaves room for large tokens.
	MaxHeaderLine int
	// MaxBody is the greatest length of a body in octets. Default 4 MiB.
	MaxBody int
}

// The defaults of [Limits].
const (
	DefaultMaxHeaders    = 64
	DefaultMaxHeaderLine = 16 << 10
	DefaultMaxBody       = 4 << 20
)

// WithDefaults returns l with the defaults in place of zeros.
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
	return l
}
