package gateway

import "slices"

// sockJSPending are the sessions that have not connected, by the address of their client. Its
// owner locks it.
type sockJSPending struct {
	count     int
	byAddress map[string][]*sockJSSession // the oldest first
}

func (p *sockJSPending) add(s *sockJSSession) {
	s.pending = true
	p.count++
	p.byAddress[s.address] = append(p.byAddress[s.address], s)
}

// remove is for a session that has connected, or ended. It may have been removed before.
func (p *sockJSPending) remove(s *sockJSSession) {
	if !s.pending {
		return
	}
	s.pending = false
	p.count--
	theirs := p.byAddress[s.address]
	at := slices.Index(theirs, s)
	if theirs = slices.Delete(theirs, at, at+1); len(theirs) > 0 {
		p.byAddress[s.address] = theirs
	} else {
		delete(p.byAddress, s.address)
	}
}

// makeRoomFor removes the oldest session of the address that has most, where it has more than
// another one would have with a new session, so that no address keeps others out. It returns nil
// where there is none.
func (p *sockJSPending) makeRoomFor(address string) *sockJSSession {
	var most []*sockJSSession
	for _, theirs := range p.byAddress {
		if len(theirs) > len(most) {
			most = theirs
		}
	}
	if len(most) <= len(p.byAddress[address])+1 {
		return nil
	}
	oldest := most[0]
	p.remove(oldest)
	return oldest
}
