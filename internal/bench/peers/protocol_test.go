package main

import (
	"bufio"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// served returns a client's WebSocket whose server has sent payloads, a frame each, and is
// gone.
func served(t *testing.T, payloads ...string) base {
	t.Helper()
	return opened(t, func(theirs net.Conn) { _ = theirs.Close() }, payloads...)
}

// opened calls then after the server has sent.
func opened(t *testing.T, then func(theirs net.Conn), payloads ...string) base {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	var sent []byte
	for _, p := range payloads {
		sent = append(sent, 0x82, 126)
		sent = binary.BigEndian.AppendUint16(sent, uint16(len(p)))
		sent = append(sent, p...)
	}
	go func() {
		_, _ = theirs.Write(sent)
		then(theirs)
	}()
	return base{webSocket: &webSocket{conn: ours, r: bufio.NewReader(ours)}}
}

// bodies reads until the server is gone.
func bodies(c client) (all []string) {
	for {
		if err := c.read(func(body []byte) { all = append(all, string(body)) }); err != nil {
			return all
		}
	}
}

// TestMessagesAreFoundHoweverTheyAreCut: a server may send several messages in a frame, or
// one in several.
func TestMessagesAreFoundHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	want := []string{"1 x", "2 x"}
	publication := func(body string) string {
		reply := field(nil, fieldPush, field(field(nil, 2, []byte("room")), fieldPushPublication, field(nil, fieldPublicationData, []byte(body))))
		return string(binary.AppendUvarint(nil, uint64(len(reply)))) + string(reply)
	}
	for name, open := range map[string]func() client{
		"STOMP, together": func() client {
			return &stompClient{base: served(t, "MESSAGE\na:b\n\n1 x\x00\nMESSAGE\na:b\n\n2 x\x00")}
		},
		"STOMP, apart": func() client {
			return &stompClient{base: served(t, "MESSAGE\na:", "b\n\n1 x", "\x00\n", "MESSAGE\n\n2 x\x00")}
		},
		"NATS, together": func() client {
			return &natsClient{base: served(t, "MSG a 1 3\r\n1 x\r\nMSG a 1 3\r\n2 x\r\n")}
		},
		"NATS, apart": func() client {
			return &natsClient{base: served(t, "MSG a 1 3\r", "\n1 ", "x\r\nMSG a 1 3\r\n2 x", "\r\n")}
		},
		"Centrifugo, together": func() client { return &centrifugoClient{base: served(t, publication("1 x")+publication("2 x"))} },
		"Socket.IO":            func() client { return &socketIOClient{base: served(t, `42["m","1 x"]`, `42["m","2 x"]`)} },
	} {
		assert.Equal(t, want, bodies(open()), name)
	}
}

func TestErrorsOfServersAreErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]client{
		"STOMP":      &stompClient{base: served(t, "ERROR\nmessage:no\n\n\x00")},
		"NATS":       &natsClient{base: served(t, "-ERR 'no'\r\n")},
		"Centrifugo": &centrifugoClient{base: served(t, "\x06\x12\x04"+"\x12\x02no")},
	} {
		err := c.read(func([]byte) {})
		require.Error(t, err, name)
		assert.True(t, strings.Contains(err.Error(), "no"), "%s: %v", name, err)
	}
}
