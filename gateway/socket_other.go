//go:build !linux

package gateway

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// socket is the connection of the operating system below a conn.
type socket struct {
	below   net.Conn // nil where the bytes of a session do not go to it as they are
	written atomic.Uint64
}

func (s *socket) init(c net.Conn, plain bool) {
	if plain {
		s.below = c
	}
}

func (s *socket) tune(time.Duration) {}

func tune(syscall.RawConn, time.Duration) {}

func (s *socket) progress() uint64 { return s.written.Load() }

func (s *socket) writesNow() bool { return false }

func (s *socket) writeNow([][]byte) int { return 0 }

func (s *socket) writable() bool { return s.below != nil }

// write writes all of the buffers, with few calls, and counts as it goes.
func (s *socket) write(buffers [][]byte) error {
	for len(buffers) > 0 {
		if b := buffers[0]; len(b) > maxPiece {
			for len(b) > 0 {
				n, err := s.below.Write(b[:min(len(b), maxPiece)])
				s.written.Add(uint64(n))
				if err != nil {
					return err
				}
				b = b[n:]
			}
			buffers = buffers[1:]
			continue
		}
		n, size := 0, 0
		for n < len(buffers) && (n == 0 || size+len(buffers[n]) <= 4*maxPiece) && len(buffers[n]) <= maxPiece {
			size += len(buffers[n])
			n++
		}
		vectors := net.Buffers(buffers[:n:n])
		written, err := vectors.WriteTo(s.below)
		s.written.Add(uint64(written))
		if err != nil {
			return err
		}
		buffers = buffers[n:]
	}
	return nil
}
