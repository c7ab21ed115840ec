package driver

import (
	"strconv"
	"strings"
)

// StreamPosition is the place of a message in a history. Its String is the message-id.
type StreamPosition struct {
	// Epoch changes when the history is made again, which then counts from 1 again.
	Epoch string
	Seq   uint64
}

func (p StreamPosition) String() string { return p.Epoch + "-" + strconv.FormatUint(p.Seq, 10) }

// ParseStreamPosition reads a message-id of a history. Any other id is a StreamPosition of
// an epoch that no history has.
func ParseStreamPosition(id string) StreamPosition {
	if at := strings.LastIndexByte(id, '-'); at > 0 {
		if seq, err := strconv.ParseUint(id[at+1:], 10, 64); err == nil {
			return StreamPosition{Epoch: strings.Clone(id[:at]), Seq: seq}
		}
	}
	return StreamPosition{Epoch: "none"}
}
