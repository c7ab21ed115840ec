package broker

import (
	"context"
	"encoding/json"
	"strconv"
)

// CodeDisconnected ends sessions by an operator's request.
const CodeDisconnected Code = "disconnected"

// disconnectSubject is on which nodes ask each other to end sessions.
const disconnectSubject = "disconnect"

// disconnection says which sessions are to end.
type disconnection struct {
	User    string `json:"user"`
	Session string `json:"session,omitempty"` // "" is all of the user
	Reason  string `json:"reason"`
}

// Disconnect ends the sessions of a user on all nodes, or where session is not "" that
// one of them: each gets an ERROR with the reason. It returns how many they were, and
// the nodes that did not answer. It does not keep the user from coming back: that
// is for the maker of tokens. It is safe for concurrent use.
func (b *Broker) Disconnect(ctx context.Context, user, session, reason string) (n int, missing []string) {
	d := disconnection{user, session, reason}
	n = b.disconnect(d)
	if b.cluster == nil {
		return n, nil
	}
	query, err := json.Marshal(d)
	if err != nil {
		return n, nil // strings always can be
	}
	answers, missing := b.cluster.Request(ctx, disconnectSubject, query)
	for _, answer := range answers {
		theirs, err := strconv.Atoi(string(answer.Body))
		if err != nil || theirs < 0 {
			missing = append(missing, answer.Node)
			continue
		}
		n += theirs
	}
	return n, missing
}

// answerDisconnect ends sessions of this node for another one.
func (b *Broker) answerDisconnect(query []byte) []byte {
	var d disconnection
	if json.Unmarshal(query, &d) != nil {
		return nil
	}
	return strconv.AppendInt(nil, int64(b.disconnect(d)), 10)
}

func (b *Broker) disconnect(d disconnection) (n int) {
	b.eachConnected(func(s *Session) {
		if s.user == d.User && (d.Session == "" || s.id == d.Session) {
			n++
			s.endWith(&Error{Code: CodeDisconnected, Message: d.Reason})
		}
	})
	return n
}
