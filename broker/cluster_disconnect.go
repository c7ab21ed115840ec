package broker

import (
	"encoding/json"
	"strconv"
)

// CodeDisconnected is the code of a session that an operator ended.
const CodeDisconnected Code = "disconnected"

// disconnectSubject is on which nodes ask each other to end sessions.
const disconnectSubject = "disconnect"

// disconnection says which sessions are to end.
type disconnection struct {
	User    string `json:"user"`
	Session string `json:"session,omitempty"` // "" is all of the user
	Reason  string `json:"reason"`
}

// answerDisconnect ends sessions of this node for another one.
func (b directory) answerDisconnect(query []byte) []byte {
	var d disconnection
	if json.Unmarshal(query, &d) != nil {
		return nil
	}
	return strconv.AppendInt(nil, int64(b.disconnect(d)), 10)
}

func (b directory) disconnect(d disconnection) (n int) {
	b.eachConnected(func(s *Session) {
		if s.user == d.User && (d.Session == "" || s.id == d.Session) {
			n++
			s.endWith(&Error{Code: CodeDisconnected, Message: d.Reason})
		}
	})
	return n
}
