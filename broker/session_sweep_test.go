package broker_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/test"
)

func TestHeartBeatsGoBothWays(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{HeartBeat: broker.HeartBeat{Send: 100 * time.Millisecond, Receive: 100 * time.Millisecond, Grace: 25}}})
	raw, err := net.Dial("tcp", n.TCP)
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.Write([]byte("CONNECT\naccept-version:1.2\nheart-beat:100,100\nlogin:guest\npasscode:guest\n\n\x00"))
	require.NoError(t, err)
	beats := 0
	buffer := make([]byte, 512)
	for beats < 5 {
		require.NoError(t, raw.SetReadDeadline(time.Now().Add(time.Minute)))
		k, err := raw.Read(buffer)
		require.NoError(t, err)
		if string(buffer[:k]) == "\n" {
			beats++
		}
		_, err = raw.Write([]byte("\n"))
		require.NoError(t, err)
	}

	silent := test.Dial(t, n).Connect("heart-beat", "100,0")
	silent.Error("no heart-beat for")
	require.Equal(t, 1008, silent.CloseCode)
	none := test.Dial(t, n).Connect("heart-beat", "0,0")
	time.Sleep(3 * time.Second)
	none.Quiet()
}
