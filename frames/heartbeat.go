package frames

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// HeartBeat is what one side of a connection says of its heart-beats. Zero
// means none.
type HeartBeat struct {
	// Send is the least time between beats that this side can promise.
	Send time.Duration
	// Receive is how often this side wants a beat from the other.
	Receive time.Duration
}

// ParseHeartBeat reads a heart-beat header: two numbers of milliseconds. An
// empty value means no beats. It returns an [*Error] with [CodeHeartBeat] for
// anything else (STOMP 1.2, "Heart-beating").
func ParseHeartBeat(value string) (HeartBeat, error) {
	if value == "" {
		return HeartBeat{}, nil
	}
	send, receive, ok := strings.Cut(value, ",")
	cx, errSend := parseMillis(send)
	cy, errReceive := parseMillis(receive)
	if !ok || errSend != nil || errReceive != nil {
		return HeartBeat{}, errorf(CodeHeartBeat, "heart-beat %s is not two numbers of milliseconds, such as 10000,10000", quote(value))
	}
	return HeartBeat{Send: cx, Receive: cy}, nil
}

func parseMillis(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		err = nil // 25 days, which ParseUint returned, are as good as longer ones
	}
	return time.Duration(n) * time.Millisecond, err
}

// String returns h as a heart-beat header spells it.
func (h HeartBeat) String() string {
	b := strconv.AppendInt(nil, h.Send.Milliseconds(), 10)
	b = append(b, ',')
	return string(strconv.AppendInt(b, h.Receive.Milliseconds(), 10))
}

// Negotiate returns how often h's side has to send, and how often it may expect
// to receive, when the other side said peer. Zero means never.
func (h HeartBeat) Negotiate(peer HeartBeat) HeartBeat {
	var agreed HeartBeat
	if h.Send > 0 && peer.Receive > 0 {
		agreed.Send = max(h.Send, peer.Receive)
	}
	if h.Receive > 0 && peer.Send > 0 {
		agreed.Receive = max(h.Receive, peer.Send)
	}
	return agreed
}
