//go:build linux && !race

package gateway

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWritingAllocatesNothing: the detector of races throws pooled values away, so it
// counts others.
func TestWritingAllocatesNothing(t *testing.T) {
	c, peer := pair(t)
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	buffers := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		c.WriteNow(buffers)
		if err := c.Write(buffers); err != nil {
			panic(err)
		}
	}))
}
