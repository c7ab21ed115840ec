package broker_test

import (
	"testing"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// FuzzSession sends bytes to a broker behind a CONNECT, and wants that it goes on serving
// others, and that its own session ends in a way that it says.
func FuzzSession(f *testing.F) {
	for _, text := range []string{
		"SEND\ndestination:/topic/a\n\nx\x00", "SUBSCRIBE\nid:1\ndestination:/topic/**\n\n\x00SEND\ndestination:/topic/a\nreceipt:r\n\nx\x00",
		"BEGIN\ntransaction:t\n\n\x00SEND\ntransaction:t\ndestination:/queue/a\n\nx\x00COMMIT\ntransaction:t\nreceipt:c\n\n\x00",
		"SUBSCRIBE\nid:q\nack:client\ndestination:/queue/a\n\n\x00NACK\nid:1\n\n\x00UNSUBSCRIBE\nid:q\n\n\x00",
		"SEND\ndestination:/app/a\nreply-to:/temp-queue/x\ncorrelation-id:1\n\nx\x00", "SUBSCRIBE\nid:1\ndestination:/topic/chat.a\nreplay-last:9999\n\n\x00",
		"SEND\ndestination:/queue/b\npersistent:false\nexpires:1\ndedup-id:d\n\nx\x00", "DISCONNECT\nreceipt:d\n\n\x00", "\n\n\n", "CONNECT\n\n\x00",
		"SEND\ncontent-length:99999999999\n\n\x00", "ACK\nid:%\n\n\x00ABORT\ntransaction:\\\n\n\x00",
	} {
		f.Add([]byte(text))
	}
	n := test.Start(f, test.Options{Histories: test.Histories(f)})
	f.Fuzz(func(t *testing.T, text []byte) {
		c := test.DialTCP(t, n).Connect()
		_, _ = c.TryRaw(text)
		c.Close()
		other := test.DialTCP(t, n).Connect()
		other.Send(frames.SEND, "destination", "/topic/none", "receipt", "r")
		other.Receipt("r")
		other.Close()
	})
}
