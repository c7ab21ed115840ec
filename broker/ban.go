package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/admin"
)

// CodeBanned is the code for users and tokens that an operator banned.
const CodeBanned Code = "banned"

const (
	// banSubject is on which nodes tell each other of bans, and bansSubject on which they
	// ask for all of them.
	banSubject  = "ban"
	bansSubject = "bans"
	// maxBans bounds the bans at a time. Every node has them in memory.
	maxBans = 10_000
)

// BannedError means that the credentials are valid, but an operator banned their owner.
type BannedError struct {
	Ban  admin.Ban
	User string // who came, where that is known, for the log
}

// KnownUser returns who came, or "".
func (e *BannedError) KnownUser() string { return e.User }

func (e *BannedError) Error() string {
	text := "you are banned until " + e.Ban.Until.UTC().Format(time.RFC3339)
	if e.Ban.Reason != "" {
		text += ": " + e.Ban.Reason
	}
	return text
}

// ErrTooManyBans is returned when the maximum number of bans exists.
var ErrTooManyBans = fmt.Errorf("there are %d bans already; lift some, or wait until they end", maxBans)

// bans are who is kept out. It is safe for concurrent use.
type bans struct {
	read     chan struct{} // closed when all that were made before were read
	markRead func()        // closes it, if it is open
	asking   atomic.Bool   // other nodes are about to be asked

	mu    sync.RWMutex // guards the following
	byKey map[string]admin.Ban
	// unkept are the keys of bans of this node that the store did not take. While there are some,
	// a goroutine tries again, which keeping reports.
	unkept  map[string]bool
	keeping bool
}

func newBans() *bans {
	b := &bans{read: make(chan struct{})}
	b.markRead = sync.OnceFunc(func() { close(b.read) })
	return b
}

// check returns a [*BannedError] for a principal that is kept out, and [ErrBansUnread] while that
// is not known.
func (b *bans) check(p *auth.Principal, now time.Time) error {
	if !b.areRead() {
		return ErrBansUnread
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.byKey) == 0 {
		return nil
	}
	for _, key := range []string{"user " + p.Name, "token " + p.TokenID} {
		if ban, ok := b.byKey[key]; ok && !ban.Lifted && now.Before(ban.Until) && key != "token " {
			return &BannedError{Ban: ban, User: p.Name}
		}
	}
	return nil
}

// has reports whether a ban is known already, as all of them are that are read again.
func (b *bans) has(ban *admin.Ban) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	known, ok := b.byKey[ban.Key()]
	return ok && known.Made.Equal(ban.Made) && known.Lifted == ban.Lifted
}

// after is when a ban is made: now, but after the one that is known, whose node may have a clock that
// is ahead.
func (b *bans) after(key string, now time.Time) time.Time {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if old, ok := b.byKey[key]; ok && !old.Made.Before(now) {
		now = old.Made.Add(time.Nanosecond)
	}
	return now.UTC()
}

// put takes a ban, and returns the one that is in force then: this one, or one that stays in its
// place. It returns false where there are too many.
func (b *bans) put(ban admin.Ban, now time.Time) (inForce admin.Ban, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.byKey[ban.Key()]; ok && !ban.Over(&old) {
		return old, true
	}
	if len(b.byKey) >= maxBans {
		maps.DeleteFunc(b.byKey, func(_ string, ban admin.Ban) bool { return !now.Before(ban.Until) })
	}
	if _, ok := b.byKey[ban.Key()]; !ok && len(b.byKey) >= maxBans {
		return admin.Ban{}, false
	}
	if b.byKey == nil {
		b.byKey = make(map[string]admin.Ban)
	}
	b.byKey[ban.Key()] = ban
	return ban, true
}

// all returns the bans, those that were lifted too, in the order of their ends.
func (b *bans) all(now time.Time) []admin.Ban {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]admin.Ban, 0, len(b.byKey))
	for _, ban := range b.byKey {
		if now.Before(ban.Until) {
			all = append(all, ban)
		}
	}
	slices.SortFunc(all, func(a, b admin.Ban) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.Key(), b.Key())) })
	return all
}

// spreadBan applies a ban to this node and the others, and has it kept.
func (b directory) spreadBan(ctx context.Context, ban admin.Ban) (r admin.BanResult) {
	r.InForce = ban
	r.Disconnected = b.endBanned(ban)
	text, err := json.Marshal(ban)
	if err != nil {
		r.KeepErr = err // strings always can be
		return r
	}
	if b.cluster != nil {
		var theirs int
		theirs, r.Missing = b.askSum(ctx, banSubject, text)
		r.Disconnected += theirs
	}
	if store := b.driver.Bans; store != nil {
		r.KeepErr = store.PutBan(ctx, ban.Key(), text, ban.Until)
		if r.Kept = r.KeepErr == nil; !r.Kept {
			banExchange(b).keepLater(ban)
		}
	} else {
		r.KeepErr = errors.New("the backend keeps no bans")
	}
	return r
}

// askSum asks the other nodes for a number each.
func (b directory) askSum(ctx context.Context, subject string, query []byte) (sum int, missing []string) {
	answers, missing := b.cluster.Request(ctx, subject, query)
	for _, answer := range answers {
		n, err := strconv.Atoi(string(answer.Body))
		if err != nil || n < 0 {
			missing = append(missing, answer.Called())
			continue
		}
		sum += n
	}
	return sum, missing
}

// learnBan takes a ban that another node made or the store has.
func (b directory) learnBan(text []byte) (n int) {
	ban, inForce, ok := b.takeBan(text)
	if !ok || inForce != ban {
		return 0
	}
	return b.endBanned(ban)
}

// learnKeptBan takes a ban that the store has. Where this node knows one that stays in its place, the
// store was written in another order, and is asked to keep that one.
func (b directory) learnKeptBan(text []byte) {
	ban, inForce, ok := b.takeBan(text)
	switch {
	case !ok:
	case inForce == ban:
		b.endBanned(ban)
	default:
		banExchange(b).keepLater(inForce)
	}
}

// takeBan reads a ban and takes it. It returns false where that is known already, or no ban.
func (b directory) takeBan(text []byte) (ban, inForce admin.Ban, ok bool) {
	if json.Unmarshal(text, &ban) != nil || ban.User == "" && ban.Token == "" || b.bans.has(&ban) {
		return ban, inForce, false
	}
	inForce, ok = b.bans.put(ban, time.Now())
	return ban, inForce, ok
}

// endBanned ends the sessions of this node that a ban is about.
func (b directory) endBanned(ban admin.Ban) (n int) {
	if ban.Lifted || !time.Now().Before(ban.Until) {
		return 0
	}
	b.directory.eachConnected(func(s *Session) {
		p := s.shown.Load()
		if ban.User != "" && s.user == ban.User || ban.Token != "" && p != nil && p.TokenID == ban.Token {
			n++
			s.endWith(banned(&BannedError{Ban: ban}))
		}
	})
	return n
}

func banned(e *BannedError) *Error {
	return &Error{Code: CodeBanned, Message: e.Error(), user: e.User}
}
