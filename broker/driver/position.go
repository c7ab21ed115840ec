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

// In returns the position as a subscription has it, whose destination or pattern has a
// name. It is the message-id that its client reads.
func (p StreamPosition) In(name string) string {
	if name == "" {
		return p.String()
	}
	return p.Epoch + "." + name + "-" + strconv.FormatUint(p.Seq, 10)
}

// maxPlaceBytes bounds what a message-id has before its number, since it is kept.
const maxPlaceBytes = 256

// ParseStreamPosition reads a message-id of a history. Any other id is a StreamPosition of
// an epoch that no history has.
func ParseStreamPosition(id string) StreamPosition {
	p, _ := ParsePlace(id)
	return p
}

// ParsePlace reads a message-id as a client has it: the position, and the name of what it
// was subscribed to. There is none in the ids of earlier versions.
func ParsePlace(id string) (p StreamPosition, name string) {
	if at := strings.LastIndexByte(id, '-'); at > 0 && at <= maxPlaceBytes {
		if seq, err := strconv.ParseUint(id[at+1:], 10, 64); err == nil {
			epoch, name, _ := strings.Cut(strings.Clone(id[:at]), ".")
			return StreamPosition{Epoch: epoch, Seq: seq}, name
		}
	}
	return StreamPosition{Epoch: "none"}, ""
}
