package httpapi

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/problem"
)

// pipeWriter has the deadlines of a connection.
type pipeWriter struct {
	http.ResponseWriter
	conn net.Conn
}

func (w pipeWriter) SetReadDeadline(t time.Time) error { return w.conn.SetReadDeadline(t) }

func (w pipeWriter) SetWriteDeadline(t time.Time) error { return w.conn.SetWriteDeadline(t) }

// sendSlowly has a patientReader read what comes in pieces with pauses between them, and returns
// how much it read, after how long that ended and why.
func sendSlowly(t *testing.T, pieces, size int, pause time.Duration) (n int64, took time.Duration, err error) {
	synctest.Test(t, func(*testing.T) {
		server, client := net.Pipe()
		began := time.Now()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			defer client.Close()
			for range pieces {
				time.Sleep(pause)
				if _, err := client.Write(make([]byte, size)); err != nil {
					return
				}
			}
		}()
		r := &patientReader{Reader: server, controller: http.NewResponseController(pipeWriter{httptest.NewRecorder(), server})}
		n, err = io.Copy(io.Discard, r)
		took = time.Since(began)
		_ = server.Close()
		<-sent
	})
	return n, took, err
}

// TestABodyOfARestoreHasToMakeProgress: one that trickles forever ends, and one over a slow
// link does not.
func TestABodyOfARestoreHasToMakeProgress(t *testing.T) {
	t.Parallel()
	n, took, err := sendSlowly(t, 1<<20, 1, 7*time.Second)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, archiveStall, took)
	require.EqualValues(t, 8, n)

	n, took, err = sendSlowly(t, 60, archiveProgress, archiveStall-time.Second)
	require.NoError(t, err)
	require.EqualValues(t, 60*archiveProgress, n)
	require.Equal(t, 60*(archiveStall-time.Second), took)

	var p *problem.Details
	require.ErrorAs(t, archiveProblem(os.ErrDeadlineExceeded), &p)
	require.Equal(t, http.StatusRequestTimeout, p.Status)
	require.Equal(t, "less than 65536 bytes of the body came within 1m0s", p.Detail)
}
