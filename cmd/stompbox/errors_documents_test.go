package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test"
)

// TestTheERRORFrameOfTheDocuments is the one that a client gets, byte for byte.
func TestTheERRORFrameOfTheDocuments(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/errors.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "```text\nERROR\n")
	require.True(t, found)
	block, _, _ := strings.Cut(rest, "\n```")

	p := serve(t, nil, "--dev")
	token, _, err := run(t, nil, "token", "--dev", "--user", "alice", "--subscribe", "/topic/chat.*")
	require.NoError(t, err)
	conn, err := net.Dial("tcp", p.tcp)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(test.Patience)))
	_, err = fmt.Fprintf(conn, "CONNECT\naccept-version:1.2\nhost:x\nAuthorization:Bearer %s\n\n\x00SUBSCRIBE\nid:1\ndestination:/topic/admin\nreceipt:1\n\n\x00", strings.TrimSpace(token))
	require.NoError(t, err)
	said, err := io.ReadAll(conn) // to the end of the session
	require.NoError(t, err)
	_, frame, found := strings.Cut(string(said), "ERROR\n")
	require.True(t, found, "%s", said)
	require.Equal(t, strings.TrimRight(frame, "\x00\n"), block)
	p.stop(t)
}
