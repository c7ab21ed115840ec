package frames_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
)

type goldenFrame struct {
	Command string      `json:"command"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
}

var versions = map[string]frames.Version{"none": 0, "1.0": frames.V10, "1.1": frames.V11, "1.2": frames.V12}

// TestGoldenFrames decodes recorded bytes in pieces of several sizes, and
// wants the same frames every time.
func TestGoldenFrames(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/frames/*.stomp")
	require.NoError(t, err)
	require.Greater(t, len(files), 10)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".stomp")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			text, err := os.ReadFile(strings.TrimSuffix(file, ".stomp") + ".json")
			require.NoError(t, err)
			var golden struct {
				Version string        `json:"version"`
				Frames  []goldenFrame `json:"frames"`
			}
			require.NoError(t, json.Unmarshal(text, &golden))
			for _, size := range []int{1, 2, 3, 7, 16, len(raw)} {
				got, err := decodeInPieces(raw, size, versions[golden.Version], nil)
				require.NoError(t, err)
				require.Equal(t, golden.Frames, describe(got), "in pieces of %d", size)
			}
		})
	}
}

// decodeInPieces feeds raw to a new decoder, size bytes at a time.
func decodeInPieces(raw []byte, size int, v frames.Version, limits *frames.Limits) ([]frames.Frame, error) {
	if limits == nil {
		limits = new(frames.Limits)
	}
	d := frames.NewDecoder(limits)
	d.SetVersion(v)
	var all []frames.Frame
	for len(raw) > 0 {
		n := min(size, len(raw))
		piece := append([]byte(nil), raw[:n]...)
		raw = raw[n:]
		d.Feed(piece)
		for {
			var f frames.Frame
			ok, err := d.Next(&f)
			if err != nil {
				return all, err
			}
			if !ok {
				break
			}
			all = append(all, f)
		}
		for i := range piece {
			piece[i] = 'X' // the decoder must have copied what it needs
		}
	}
	return all, nil
}

func describe(all []frames.Frame) []goldenFrame {
	var out []goldenFrame
	for _, f := range all {
		g := goldenFrame{Command: f.Command, Headers: [][2]string{}, Body: string(f.Body)}
		for _, h := range f.Headers {
			g.Headers = append(g.Headers, [2]string{h.Name, h.Value})
		}
		out = append(out, g)
	}
	return out
}
