package broker_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
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

	silent := test.DialTCP(t, n).Connect("heart-beat", "100,0")
	silent.Error("no heart-beat for")
	none := test.Dial(t, n).Connect("heart-beat", "0,0")
	time.Sleep(3 * time.Second)
	none.Quiet()
}

// TestAWebSocketThatAnswersPingsIsNotCutOff: the timers of a hidden tab are throttled, so
// it sends no heart-beats, but its browser answers pings. Who answers neither is ended.
func TestAWebSocketThatAnswersPingsIsNotCutOff(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{HeartBeat: broker.HeartBeat{Send: -1, Receive: 500 * time.Millisecond, Grace: 2}}})
	dial := func() *websocket.Conn {
		dialer := websocket.Dialer{Subprotocols: []string{"v12.stomp"}}
		ws, _, err := dialer.Dial(n.WebSocket, nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = ws.Close() })
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte("CONNECT\naccept-version:1.2\nheart-beat:500,0\nlogin:guest\npasscode:guest\n\n\x00")))
		_, text, err := ws.ReadMessage()
		require.NoError(t, err)
		require.Contains(t, string(text), "CONNECTED")
		return ws
	}
	hidden, dead := dial(), dial()
	answered := make(chan struct{}, 100)
	hidden.SetPingHandler(func(data string) error {
		select {
		case answered <- struct{}{}:
		default:
		}
		return hidden.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Minute))
	})
	ended := make(chan error, 1)
	go func() {
		_, text, err := hidden.ReadMessage()
		if err == nil && !strings.Contains(string(text), "still-here") {
			err = errors.New(string(text))
		}
		ended <- err
	}()
	dead.SetPingHandler(func(string) error { return nil })
	_, text, err := dead.ReadMessage()
	require.NoError(t, err)
	require.Contains(t, string(text), "no heart-beat for")
	for range 5 {
		select {
		case <-answered:
		case err := <-ended:
			require.NoError(t, err, "it was cut off, or has read something else")
		}
	}
	require.Empty(t, ended)
	require.NoError(t, hidden.WriteMessage(websocket.TextMessage, []byte("DISCONNECT\nreceipt:still-here\n\n\x00")))
	require.NoError(t, <-ended, "its RECEIPT came")
}
