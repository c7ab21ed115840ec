package broker_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestReceiptsComeBeforeTheError: what was stored is confirmed, although a later
// frame is wrong.
func TestReceiptsComeBeforeTheError(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	var all []byte
	for i := range 50 {
		all = frames.Append(all, frames.New(frames.SEND, "destination", "/queue/e", "receipt", strconv.Itoa(i)), frames.V12)
	}
	all = frames.Append(all, frames.New(frames.SEND, "destination", "/nowhere", "receipt", "bad"), frames.V12)
	all = frames.Append(all, frames.New(frames.SEND, "destination", "/queue/e", "receipt", "late"), frames.V12)
	c.Raw(string(all))
	for i := range 50 {
		c.Receipt(strconv.Itoa(i))
	}
	require.Equal(t, "bad", c.Error("has to begin with").Get("receipt-id"))
}
