package frames_test

import (
	"fmt"

	"github.com/stompbox/stompbox/frames"
)

func ExampleDecoder() {
	d := frames.NewDecoder(&frames.Limits{})
	d.SetVersion(frames.V12)
	var f frames.Frame
	for _, arrived := range []string{"SEND\ndestination:/topic/ro", "om\n\nhello\x00\nSEND\n", "destination:/topic/room\n\nagain\x00"} {
		d.Feed([]byte(arrived))
		for {
			ok, err := d.Next(&f)
			if err != nil {
				fmt.Println(err)
				return
			}
			if !ok {
				break
			}
			fmt.Printf("%s to %s: %s\n", f.Command, f.Get(frames.Destination), f.Body)
		}
	}
	// Output:
	// SEND to /topic/room: hello
	// SEND to /topic/room: again
}

func ExampleAppend() {
	f := frames.New(frames.RECEIPT, frames.ReceiptID, "a:1")
	fmt.Printf("%q\n", frames.Append(nil, f, frames.V12))
	// Output:
	// "RECEIPT\nreceipt-id:a\\c1\n\n\x00"
}
