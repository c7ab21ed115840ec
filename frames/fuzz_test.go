package frames_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
)

func addGolden(f *testing.F) {
	files, err := filepath.Glob("../testdata/frames/*.stomp")
	require.NoError(f, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(raw, uint8(12), uint8(1))
		f.Add(raw, uint8(10), uint8(3))
	}
	f.Add([]byte("SEND\na\\cb:c\\\\d\\n\ncontent-length:3\n\na\x00b\x00"), uint8(11), uint8(5))
}

// FuzzDecode looks for input that panics, and for input whose frames depend on
// how the stream was cut.
func FuzzDecode(f *testing.F) {
	addGolden(f)
	limits := &frames.Limits{MaxHeaders: 8, MaxHeaderLine: 128, MaxBody: 512}
	f.Fuzz(func(t *testing.T, raw []byte, version, size uint8) {
		v := frames.Version(version)
		whole, wholeErr := decodeInPieces(raw, len(raw)+1, v, limits)
		pieces, piecesErr := decodeInPieces(raw, int(size)+1, v, limits)
		require.Equal(t, describe(whole), describe(pieces))
		require.Equal(t, wholeErr == nil, piecesErr == nil, "%v and %v", wholeErr, piecesErr)
	})
}

// FuzzRoundTrip decodes, encodes and decodes again: the two must agree.
func FuzzRoundTrip(f *testing.F) {
	addGolden(f)
	f.Fuzz(func(t *testing.T, raw []byte, version, _ uint8) {
		v := []frames.Version{frames.V10, frames.V11, frames.V12}[version%3]
		first, err := decodeInPieces(raw, len(raw)+1, v, nil)
		if err != nil {
			return
		}
		var again []byte
		for i := range first {
			again = frames.Append(again, &first[i], v)
		}
		second, err := decodeInPieces(again, len(again)+1, v, nil)
		require.NoError(t, err)
		require.Equal(t, withoutLengths(first), withoutLengths(second))
	})
}

// withoutLengths describes frames except for the content-length, which encoding
// always puts right, and the unescaped CONNECTs, whose CRs become spaces.
func withoutLengths(all []frames.Frame) []goldenFrame {
	out := describe(all)
	kept := out[:0]
	for _, g := range out {
		if g.Command == frames.CONNECT || g.Command == frames.CONNECTED {
			continue
		}
		headers := [][2]string{}
		for _, h := range g.Headers {
			if h[0] != frames.ContentLength {
				headers = append(headers, h)
			}
		}
		g.Headers = headers
		kept = append(kept, g)
	}
	return kept
}
