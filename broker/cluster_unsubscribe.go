package broker

import (
	"encoding/json"
	"strconv"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/admin"
)

// CodeUnsubscribed is the code of a subscription that an operator ended.
const CodeUnsubscribed Code = "unsubscribed"

// unsubscribeSubject is on which nodes ask each other to end subscriptions.
const unsubscribeSubject = "unsubscribe"

func (b directory) answerUnsubscribe(query []byte) []byte {
	var u admin.Unsubscription
	if json.Unmarshal(query, &u) != nil {
		return nil
	}
	return strconv.AppendInt(nil, int64(b.endSubscriptions(u)), 10)
}

func (b directory) endSubscriptions(u admin.Unsubscription) (n int) {
	b.directory.eachConnected(func(s *Session) {
		if s.user != u.User || u.Session != "" && s.id != u.Session {
			return
		}
		for _, ended := range s.endSubscriptions(u) {
			n++
			if s.stream {
				continue // it got the event problem
			}
			b.app.sendFailure(origin{&auth.Principal{Name: s.user}, s.id}, ended.requestedDestination, "", CodeUnsubscribed, "subscription \""+truncate(ended.id, maxQuoted)+"\": "+u.Reason)
		}
	})
	return n
}

// endSubscriptions ends the subscriptions of a session that are asked for, except for those
// that requests made. A stream of events ends as a whole. It may be called by any goroutine.
func (s *Session) endSubscriptions(u admin.Unsubscription) (ended []*subscription) {
	s.handling.Lock()
	defer s.handling.Unlock()
	for name, sub := range s.subs.all() {
		if sub.isReply || sub.requestedDestination == errorsDestination && u.Destination == "" && u.Subscription == "" ||
			u.Subscription != "" && sub.id != u.Subscription ||
			u.Destination != "" && sub.destination != u.Destination && sub.requestedDestination != u.Destination {
			continue
		}
		ended = append(ended, sub)
		if s.stream {
			s.fail(nil, false, &Error{Code: CodeUnsubscribed, Message: "the subscription to " + truncate(sub.requestedDestination, maxQuoted) + " has ended: " + u.Reason})
			break
		}
		s.endSubscription(name, sub)
	}
	return ended
}
