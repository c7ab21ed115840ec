package broker

import "encoding/json"

// maxGone bounds the nodes that are remembered as gone. An answer is on its way for some
// seconds.
const maxGone = 1000

// nodePresence is what is known of another node's users.
type nodePresence struct {
	lastSeq uint64 // the number of the last change
	users   map[string]map[string]bool
}

// presenceChange is what a node broadcasts.
type presenceChange struct {
	Number      uint64 `json:"n"`
	Join        bool   `json:"join"`
	Destination string `json:"destination"`
	User        string `json:"user"`
}

// presenceState is all users of a node.
type presenceState struct {
	Number uint64              `json:"n"`
	Users  map[string][]string `json:"users"`
}

// join has this node exchange presence with the others.
func (p *presence) join() error {
	if len(p.patterns) == 0 {
		return nil
	}
	c := p.broker.cluster
	if err := c.HandleRequest(presenceSubject, func([]byte) []byte { return p.state() }); err != nil {
		return err
	}
	if err := c.OnBroadcast(presenceSubject, p.onChange); err != nil {
		return err
	}
	p.catchUp()
	return nil
}

// state is all users of this node, for another one.
func (p *presence) state() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := presenceState{Number: p.sentSeq, Users: make(map[string][]string, len(p.local))}
	for destination, users := range p.local {
		for user := range users {
			s.Users[destination] = append(s.Users[destination], user)
		}
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return body
}

// onChange takes a change that another node broadcast.
func (p *presence) onChange(id string, body []byte) {
	var c presenceChange
	if json.Unmarshal(body, &c) != nil {
		return
	}
	p.mu.Lock()
	n := p.nodes[id]
	missed := n == nil || c.Number > n.lastSeq+1
	if n != nil && c.Number == n.lastSeq+1 {
		n.lastSeq = c.Number
		p.applyLocked(n, c.Destination, c.User, c.Join)
	}
	p.mu.Unlock()
	if missed {
		p.broker.background.Go(p.catchUp)
	}
}

// applyLocked notes what is true of one node now.
func (p *presence) applyLocked(n *nodePresence, destination, user string, join bool) {
	users := n.users[destination]
	if users[user] == join {
		return
	}
	if users == nil {
		users = make(map[string]bool)
		n.users[destination] = users
	}
	if join {
		users[user] = true
	} else if delete(users, user); len(users) == 0 {
		delete(n.users, destination)
	}
	p.changeLocked(destination, user, join)
}

// catchUp asks all nodes for all their users.
func (p *presence) catchUp() {
	answers, _ := p.broker.cluster.Request(p.broker.ctx, presenceSubject, nil)
	for _, answer := range answers {
		var s presenceState
		if json.Unmarshal(answer.Body, &s) == nil {
			p.replace(answer.Node, s)
		}
	}
}

// replace takes all users of a node in place of those that were known.
func (p *presence) replace(id string, s presenceState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone[id] {
		return // it answered before it was gone
	}
	n := p.nodes[id]
	if n == nil {
		n = &nodePresence{users: make(map[string]map[string]bool)}
		p.nodes[id] = n
	} else if s.Number < n.lastSeq {
		return // older than what is known
	}
	n.lastSeq = s.Number
	now := make(map[string]map[string]bool, len(s.Users))
	for destination, users := range s.Users {
		now[destination] = make(map[string]bool, len(users))
		for _, user := range users {
			now[destination][user] = true
			p.applyLocked(n, destination, user, true)
		}
	}
	for destination, users := range n.users {
		for user := range users {
			if !now[destination][user] {
				p.applyLocked(n, destination, user, false)
			}
		}
	}
}

// nodeChanged lets the users of a node leave that is gone, and asks a new one for its.
func (p *presence) nodeChanged(id string, here bool) {
	if here {
		p.mu.Lock()
		delete(p.gone, id)
		p.mu.Unlock()
		p.broker.background.Go(p.catchUp)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.gone) >= maxGone {
		clear(p.gone)
	}
	p.gone[id] = true
	n := p.nodes[id]
	if n == nil {
		return
	}
	for destination, users := range n.users {
		for user := range users {
			p.applyLocked(n, destination, user, false)
		}
	}
	delete(p.nodes, id)
}
