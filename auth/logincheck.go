package auth

import (
	"context"
	"net/netip"
	"time"
)

// check is a passcode that is compared with a hash, for all who show it meanwhile.
type check struct {
	peer     string
	mac      passcodeMAC
	known    *login // nil for a name that no login has
	passcode []byte
	waiters  int  // guarded by Logins.mu
	running  bool // guarded by Logins.mu

	done    chan struct{}
	outcome outcome // set before done is closed
}

type outcome int

const (
	differed outcome = iota
	matched
	dropped // without having been compared
)

// check returns what became of a passcode once it had its turn, or dropped where that
// took too long.
func (l *Logins) check(ctx context.Context, c Credentials, mac passcodeMAC) (outcome, error) {
	shown := l.enqueue(c, mac)
	defer l.leave(shown)
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	late := timer.C
	for {
		select {
		case <-shown.done:
			return shown.outcome, nil
		case <-late:
			if !l.isRunning(shown) {
				return dropped, nil
			}
			late = nil // it has its turn, and ends soon
		case <-ctx.Done():
			return dropped, ctx.Err()
		}
	}
}

func (l *Logins) isRunning(c *check) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.running
}

// enqueue joins the check of a passcode that is under way, or begins one.
func (l *Logins) enqueue(c Credentials, mac passcodeMAC) *check {
	l.mu.Lock()
	defer l.mu.Unlock()
	shown := l.pending[mac]
	if shown == nil {
		shown = &check{
			peer: peerOf(c.Remote), mac: mac, known: l.byName[c.Login], passcode: []byte(c.Passcode), done: make(chan struct{}),
		}
		l.pending[mac] = shown
		if victim := l.queue.push(shown); victim != nil {
			l.finishLocked(victim, dropped)
		}
		if l.running < l.maxRunning {
			l.running++
			go l.run()
		}
	}
	shown.waiters++
	return shown
}

// leave takes a check that all who waited for it have left out of the queue.
func (l *Logins) leave(c *check) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.waiters--
	if c.waiters == 0 && !c.running && l.pending[c.mac] == c {
		l.queue.remove(c)
		l.finishLocked(c, dropped)
	}
}

// run compares passcodes until none waits.
func (l *Logins) run() {
	for {
		c := l.next()
		if c == nil {
			return
		}
		hash := l.unseen
		if c.known != nil && len(c.known.hash) > 0 {
			hash = c.known.hash
		}
		outcome := differed
		if l.compare(hash, c.passcode) == nil && c.known != nil {
			c.known.remember(c.mac)
			outcome = matched
		}
		l.mu.Lock()
		l.finishLocked(c, outcome)
		l.mu.Unlock()
	}
}

// next returns whose turn it is, or nil and ends the run.
func (l *Logins) next() *check {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.queue.take()
	if c == nil {
		l.running--
		return nil
	}
	c.running = true
	return c
}

func (l *Logins) finishLocked(c *check, o outcome) {
	delete(l.pending, c.mac)
	c.outcome = o
	close(c.done)
}

// peerOf is what shares turns: an IPv4 address, or the /64 of an IPv6 address, of which
// one customer has as many as there are.
func peerOf(remote string) string {
	port, err := netip.ParseAddrPort(remote)
	address := port.Addr()
	if err != nil {
		if address, err = netip.ParseAddr(remote); err != nil {
			return "" // such as of an embedding program's own transport
		}
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		if prefix, err := address.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return address.String()
}
