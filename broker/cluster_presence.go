package broker

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

const (
	// presencePrefix begins the topics that carry joins and leaves:
	// /topic/$presence/chat.room1 has those of /topic/chat.room1.
	presencePrefix = destination.ReservedPrefix + "presence/"

	// HeaderEvent is the type of event that a message becomes.
	HeaderEvent = "event"

	presenceSubject = "presence"
	// maxPresent is how many users the list has that a new subscriber gets.
	maxPresent = 1000
	// presencePause is how often at most a node says of a user whether they are at a
	// destination: who comes and goes faster would make work for all who watch.
	presencePause = time.Second
)

// presence knows who is subscribed to the destinations that a policy names, on all
// nodes. Each node broadcasts the changes of its own users; all come to the same view,
// and each sends its own subscribers what changes in it. The users of a node that died
// leave when it is gone.
type presence struct {
	broker   *Broker
	patterns []destination.Pattern

	pause time.Duration

	mu      sync.Mutex                // guards the following
	local   map[string]map[string]int // sessions of this node, by destination and user
	sentSeq uint64                    // how many changes this node has broadcast
	nodes   map[string]*nodePresence  // the users of other nodes
	gone    map[string]bool           // nodes whose last answer may still be on its way
	global  map[string]map[string]int // on how many nodes, by destination and user
	// said is what was said less than a pause ago, and dueSaid the same, the oldest first:
	// when their time comes it is looked at how things are by then.
	said    map[presentUser]bool
	dueSaid []dueSaid
}

// presentUser is who may be at a destination.
type presentUser struct{ destination, user string }

type dueSaid struct {
	presentUser
	at int64 // clock time
}

// PresenceEvent is the body of a message on a presence topic, whose event header
// is its Type.
type PresenceEvent struct {
	// Type is join or leave, or present for the list that a new subscriber gets.
	Type        string `json:"type"`
	Destination string `json:"destination"`
	User        string `json:"user,omitempty"`
	// Users are the present users, at most 1000. Only a present event has this field, even if the
	// list is empty.
	Users []string `json:"users,omitzero"`
	// Count is the number of present users.
	Count int `json:"count"`
}

func newPresence(b *Broker, patterns []destination.Pattern) *presence {
	return &presence{
		broker: b, patterns: patterns, pause: presencePause, said: make(map[presentUser]bool), local: make(map[string]map[string]int),
		nodes: make(map[string]*nodePresence), gone: make(map[string]bool), global: make(map[string]map[string]int),
	}
}

// watches reports whether a policy asks for the presence at a destination.
func (p *presence) watches(destination string) bool {
	for _, pattern := range p.patterns {
		if pattern.Match(destination) {
			return true
		}
	}
	return false
}

// parseTopic returns the destinations whose presence a topic carries. A permission to
// read them is one to see who else does.
func (p *presence) parseTopic(topic string) (destination.Pattern, error) {
	rest, ok := strings.CutPrefix(topic, presencePrefix)
	if !ok || rest == "" {
		return destination.Pattern{}, badDestination(topic, "there is no such topic of the broker's")
	}
	watched, err := destination.ParsePattern(destination.TopicPrefix + rest)
	if err != nil {
		return destination.Pattern{}, badDestination(topic, err.Error())
	}
	for _, pattern := range p.patterns {
		if pattern.Overlaps(watched) {
			return watched, nil
		}
	}
	return destination.Pattern{}, badDestination(topic, "presence is not enabled for this topic; see presence.destinations")
}

// watched returns the destination of a subscription whose presence is watched.
func (p *presence) watched(sub *subscription) (string, bool) {
	if len(p.patterns) == 0 || sub.consumer != nil || sub.pattern.String() != sub.destination || destination.HasWildcard(sub.destination) {
		return "", false
	}
	return sub.destination, p.watches(sub.destination) && !destination.IsReserved(sub.destination)
}

// joined notes a subscription of this node.
func (p *presence) joined(sub *subscription) {
	if destination, ok := p.watched(sub); ok {
		p.count(destination, sub.session.user, 1)
	}
}

// left notes the end of a subscription of this node.
func (p *presence) left(sub *subscription) {
	if destination, ok := p.watched(sub); ok {
		p.count(destination, sub.session.user, -1)
	}
}

func (p *presence) count(destination, user string, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	users := p.local[destination]
	if users == nil {
		users = make(map[string]int)
		p.local[destination] = users
	}
	before := users[user]
	if users[user] += by; users[user] <= 0 {
		delete(users, user)
	}
	if len(users) == 0 {
		delete(p.local, destination)
	}
	if (before > 0) == (before+by > 0) {
		return
	}
	who := presentUser{destination, user}
	if _, lately := p.said[who]; !lately {
		p.sayLocked(who, before == 0)
	}
}

// sayLocked says that a user has come or gone, and looks again after the pause.
func (p *presence) sayLocked(who presentUser, here bool) {
	if len(p.dueSaid) == 0 {
		time.AfterFunc(p.pause, p.sayDue)
	}
	p.said[who] = here
	p.dueSaid = append(p.dueSaid, dueSaid{who, p.broker.clock.now() + int64(p.pause)})
	p.changeLocked(who.destination, who.user, here)
	if p.broker.cluster == nil {
		return
	}
	p.sentSeq++
	body, err := json.Marshal(presenceChange{p.sentSeq, here, who.destination, who.user})
	if err == nil {
		_ = p.broker.cluster.Broadcast(presenceSubject, body) // the next one shows that it is missing
	}
}

// sayDue says what has changed since it was last said, a pause ago.
func (p *presence) sayDue() {
	if p.broker.ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.broker.clock.now()
	n := 0
	for n < len(p.dueSaid) && p.dueSaid[n].at <= now {
		n++
	}
	due := p.dueSaid[:n]
	if p.dueSaid = p.dueSaid[n:]; len(p.dueSaid) > 0 {
		time.AfterFunc(time.Duration(p.dueSaid[0].at-now), p.sayDue)
	} else {
		p.dueSaid = nil
	}
	for _, d := range due {
		here := p.local[d.destination][d.user] > 0
		if here == p.said[d.presentUser] {
			delete(p.said, d.presentUser)
			continue
		}
		p.sayLocked(d.presentUser, here)
	}
}

// changeLocked notes that a user is at a destination on one node more or less, and
// publishes it to subscribers where that makes a difference.
func (p *presence) changeLocked(destination, user string, join bool) {
	users := p.global[destination]
	if users == nil {
		users = make(map[string]int)
		p.global[destination] = users
	}
	event := PresenceEvent{Type: "leave", Destination: destination, User: user}
	before := users[user]
	if join {
		users[user]++
		event.Type = "join"
	} else if users[user]--; users[user] <= 0 {
		delete(users, user)
	}
	event.Count = len(users)
	if len(users) == 0 {
		delete(p.global, destination)
	}
	if (before > 0) != (users[user] > 0) {
		p.broker.topics.deliverPresence(event)
	}
}

// deliverPresence delivers an event to the subscribers of this node. The others have
// theirs from their own nodes.
func (b topics) deliverPresence(e PresenceEvent) {
	m := b.presenceMessage(e)
	f := newFanout(m)
	b.router.find(m.Key, f.group)
	b.finish(f)
}

func (b topics) presenceMessage(e PresenceEvent) *driver.Message {
	body, err := json.Marshal(e)
	if err != nil {
		body = nil // an event is always JSON
	}
	key := presencePrefix + strings.TrimPrefix(e.Destination, destination.TopicPrefix)
	return &driver.Message{
		ID: b.nextID(), Destination: key, Key: key, Timestamp: time.Now().UnixMilli(), Body: body,
		Headers: frames.Headers{{Name: frames.ContentType, Value: "application/json"}, {Name: HeaderEvent, Value: e.Type}},
	}
}

// sendSnapshot gives a new subscriber of a presence topic the list of present users.
// What changes from then on follows it.
func (p *presence) sendSnapshot(sub *subscription) {
	rest, ok := strings.CutPrefix(sub.destination, presencePrefix)
	if !ok || destination.HasWildcard(sub.destination) {
		return
	}
	e := PresenceEvent{Type: "present", Destination: destination.TopicPrefix + rest, Users: []string{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	users := p.global[e.Destination]
	e.Count = len(users)
	for name := range users {
		if e.Users = append(e.Users, name); len(e.Users) == maxPresent {
			break
		}
	}
	slices.Sort(e.Users)
	m := p.broker.topics.presenceMessage(e)
	if sub.ack != ackAuto {
		sub.session.trackUnacked(sub, m.ID)
	}
	sub.session.outbox.pushMessage(encodeFor(sub, m), sub, m, 0, nil, nil)
}
