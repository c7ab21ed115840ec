package broker

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/admin"
)

const (
	// bansPatience is how long a CONNECT or a request waits until the bans are read.
	bansPatience = 5 * time.Second
	// askBansEvery is how often other nodes are asked for their bans until the bans are read.
	askBansEvery = time.Second
)

// ErrBansUnread is returned to all clients of a node that does not know yet who is banned, for
// example while the nodes of a cluster start.
var ErrBansUnread = errors.New("this node does not know yet who is banned; connect again in some seconds")

// areRead reports whether all bans that were made before were read.
func (b *bans) areRead() bool {
	select {
	case <-b.read:
		return true
	default:
		return false
	}
}

// await waits until the bans are read, and returns [ErrBansUnread] if that takes too long.
func (b *bans) await(ctx context.Context) error {
	if b.areRead() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, bansPatience)
	defer cancel()
	select {
	case <-b.read:
		return nil
	case <-ctx.Done():
		return ErrBansUnread
	}
}

// bannedAuthenticator keeps out who is banned, whichever way they come.
type bannedAuthenticator struct {
	Authenticator
	bans *bans
}

func (a bannedAuthenticator) Authenticate(ctx context.Context, c auth.Credentials) (*auth.Principal, error) {
	p, err := a.Authenticator.Authenticate(ctx, c)
	if err == nil {
		err = a.bans.await(ctx)
	}
	if err == nil {
		err = a.bans.check(p, time.Now())
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (a bannedAuthenticator) Refresh(ctx context.Context, old *auth.Principal, token string) (*auth.Principal, error) {
	p, err := a.Authenticator.Refresh(ctx, old, token)
	if err == nil {
		err = a.bans.check(p, time.Now())
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// banExchange is how this node learns of bans, from the store and other nodes.
type banExchange struct{ *Broker }

// keptBans is an element of a node's answer to another one: a ban, or that the
// node has read all. A node of an older version takes the latter for no ban.
type keptBans struct {
	*admin.Ban
	Read bool `json:"read,omitempty"`
}

// join has this node learn of the bans that there are, and of new ones.
func (b banExchange) join() error {
	if b.cluster != nil {
		if err := b.cluster.HandleRequest(banSubject, func(query []byte) []byte {
			return strconv.AppendInt(nil, int64(b.directory.learnBan(query)), 10)
		}); err != nil {
			return err
		}
		if err := b.cluster.HandleRequest(bansSubject, func([]byte) []byte { return b.answer() }); err != nil {
			return err
		}
		b.ask()
	}
	if b.driver.Bans == nil {
		b.bans.markRead()
		return nil
	}
	if err := b.driver.Bans.WatchBans(b.directory.learnKeptBan, b.bans.markRead); err != nil {
		return err
	}
	if b.cluster != nil && !b.bans.areRead() {
		b.background.Go(b.askUntilRead)
	}
	return nil
}

// askUntilRead asks the other nodes for bans until all are read, from them or the store.
func (b banExchange) askUntilRead() {
	tick := time.NewTicker(askBansEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.bans.read:
			return
		case <-tick.C:
			b.ask()
		}
	}
}

// askSoon is called when a node appears: it may know bans that nothing keeps.
func (b banExchange) askSoon() {
	if b.bans.asking.CompareAndSwap(false, true) {
		b.background.Go(func() {
			b.bans.asking.Store(false) // one that appears from here on is asked again
			b.ask()
		})
	}
}

// answer are the bans of this node, for another one.
func (b banExchange) answer() []byte {
	var answer []keptBans
	if b.bans.areRead() {
		answer = append(answer, keptBans{Read: true})
	}
	for _, ban := range b.bans.all(time.Now()) {
		answer = append(answer, keptBans{Ban: &ban})
	}
	text, _ := json.Marshal(answer) // strings always can be
	return text
}

// ask learns of the bans that the other nodes know. One that has read all is as good as the
// store.
func (b banExchange) ask() {
	answers, _ := b.cluster.Request(b.ctx, bansSubject, nil)
	for _, answer := range answers {
		var all []json.RawMessage
		if json.Unmarshal(answer.Body, &all) != nil {
			continue
		}
		read := false
		for _, text := range all {
			var kept keptBans
			_ = json.Unmarshal(text, &kept) // learnBan says what it is otherwise
			read = read || kept.Read
			b.directory.learnBan(text)
		}
		if read {
			b.bans.markRead()
		}
	}
}
