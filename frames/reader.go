package frames

import (
	"errors"
	"io"
)

// Reader reads frames from a stream, for clients and tests: servers feed a
// [Decoder] themselves, so that they need no buffer while nothing arrives.
// A Reader is not safe for concurrent use.
type Reader struct {
	r   io.Reader
	d   Decoder
	buf []byte
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader, limits *Limits) *Reader {
	reader := &Reader{r: r, buf: make([]byte, 4096)}
	reader.d.Init(limits)
	return reader
}

// SetVersion has the rules of v apply from the next frame on.
func (r *Reader) SetVersion(v Version) { r.d.SetVersion(v) }

// Read stores the next frame in f; see [Decoder.Next] for what of it may be
// kept. It returns io.EOF when the stream ended between frames, an [*Error]
// with [CodeTruncated] when it ended inside one, and otherwise the stream's
// error or the decoder's.
func (r *Reader) Read(f *Frame) error {
	for {
		ok, err := r.d.Next(f)
		if ok || err != nil {
			return err
		}
		n, err := r.r.Read(r.buf)
		if n > 0 {
			r.d.Feed(r.buf[:n])
			continue
		}
		if errors.Is(err, io.EOF) {
			if wrong := r.d.End(); wrong != nil {
				return wrong
			}
		}
		if err != nil {
			return err
		}
	}
}
