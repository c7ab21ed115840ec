package driver

import (
	"strconv"
	"strings"
)

// StreamPosition is the place of a message in a history. Its String is the message-id.
type StreamPosition struct {
	// Epoch changes when the history is recreated. Seq then begins at 1 again.
	Epoch string
	Seq   uint64
}

func (p StreamPosition) String() string { return p.Epoch + "-" + strconv.FormatUint(p.Seq, 10) }

// In returns the message-id that the client of a subscription gets. Name is the name of the
// subscription's destination or pattern.
func (p StreamPosition) In(name string) string {
	if name == "" {
		return p.String()
	}
	return p.Epoch + "." + name + "-" + strconv.FormatUint(p.Seq, 10)
}

// maxPlaceBytes bounds what a message-id has before its number, since it is kept.
const maxPlaceBytes = 256

// ParseStreamPosition reads a message-id of a history. For any other id it returns a position in
// an epoch that no history has.
func ParseStreamPosition(id string) StreamPosition {
	p, _ := ParsePlace(id)
	return p
}

// NoEpoch is the epoch of a place of which nothing is known. No stream has it, so what a client
// missed since then cannot be said.
const NoEpoch = "none"

// ParsePlace reads a client's message-id: the position, and the name of its subscription's
// destination. Ids of earlier versions have no name.
func ParsePlace(id string) (p StreamPosition, name string) {
	if at := strings.LastIndexByte(id, '-'); at > 0 && at <= maxPlaceBytes {
		if seq, err := strconv.ParseUint(id[at+1:], 10, 64); err == nil {
			epoch, name, _ := strings.Cut(strings.Clone(id[:at]), ".")
			if epoch == "" {
				epoch = NoEpoch // the zero position would be no place at all
			}
			return StreamPosition{Epoch: epoch, Seq: seq}, name
		}
	}
	return StreamPosition{Epoch: NoEpoch}, ""
}
