package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Login is a static login, as used by Spring's broker relay and RabbitMQ's clients.
type Login struct {
	// Name is the login header, and the name of the principal.
	Name string
	// PasscodeHash is the bcrypt hash of the passcode.
	PasscodeHash string
	// Certificate accepts a client certificate that names the login. The hash may be empty then,
	// and no passcode is accepted.
	Certificate bool
	// Grants are its permissions.
	Grants Grants
	// Relay marks an application that relays the sessions of its own clients.
	Relay bool
}

const (
	// maxWait is how long a passcode waits for its turn to be checked.
	maxWait = 5 * time.Second
	// retryAfter is the retry-after for a peer whose passcode waited too long.
	retryAfter = 5 * time.Second
	// recognizedFor is how long after its last use a right passcode is recognized
	// without bcrypt.
	recognizedFor = time.Hour
)

// Logins checks static logins. It is safe for concurrent use.
//
// bcrypt is slow on purpose, so guesses take time from others. At most a quarter of the
// processors check passcodes. Other passcodes wait, within bounds and round-robin by address. A
// passcode that was correct before does not wait.
type Logins struct {
	byName  map[string]*login
	unseen  []byte // a hash to compare with when the login is unknown
	macKey  [32]byte
	compare func(hash, passcode []byte) error

	*loginHistory

	mu         sync.Mutex // guards the following
	queue      checkQueue
	pending    map[passcodeMAC]*check // queued and running
	running    int
	maxRunning int
}

// loginHistory is what Logins remember of the past.
type loginHistory struct {
	accepted, refused, busy, limited atomic.Int64

	failingPeers  failures[string]
	failingLogins failures[passcodeMAC] // by the MAC of the name alone
}

type login struct {
	hash        []byte // empty where no passcode lets in
	certificate bool
	principal   *Principal

	mu       sync.Mutex
	verified *passcodeMAC // of the passcode that matched the hash, once one did
	usedAt   time.Time    // when it was shown last
}

// passcodeMAC stands for a login and a passcode. Its key is the process's own and
// random, so that what is kept of a passcode is of no use elsewhere.
type passcodeMAC [sha256.Size]byte

// BusyError means that credentials were not checked. They may be valid.
type BusyError struct {
	// Reason is for the client. By default it says that too many logins are being checked.
	Reason string
	// Limit is the limit that was reached: address_failed_logins, user_failed_logins, or "".
	Limit string
	// RetryAfter is when the client should try again.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return cmp.Or(e.Reason, "too many logins are being checked") + "; try again in " + e.RetryAfter.String()
}

// bcryptHash matches a whole hash. bcrypt itself looks at its start alone.
var bcryptHash = regexp.MustCompile(`^\$2[a-z]?\$[0-9]{2}\$[./0-9A-Za-z]{53}$`)

// CheckLogins returns the error that NewLogins would, and computes no hash.
func CheckLogins(all []Login) error {
	_, _, err := newLogins(all)
	return err
}

// NewLogins checks the hashes and the patterns of the logins. Errors name the invalid login.
func NewLogins(all []Login) (*Logins, error) {
	l, cost, err := newLogins(all)
	if err != nil {
		return nil, err
	}
	l.unseen, err = bcrypt.GenerateFromPassword(l.macKey[:16], cost)
	return l, err
}

// newLogins is NewLogins without the hash for unknown logins, for which it returns the cost.
func newLogins(all []Login) (l *Logins, cost int, err error) {
	l = &Logins{
		loginHistory: new(loginHistory),
		byName:       make(map[string]*login), compare: bcrypt.CompareHashAndPassword,
		pending: make(map[passcodeMAC]*check), maxRunning: max(1, runtime.GOMAXPROCS(0)/4),
	}
	if _, err := rand.Read(l.macKey[:]); err != nil {
		return nil, 0, err
	}
	cost = bcrypt.MinCost
	var faults []error
	for _, configured := range all {
		c, err := l.add(configured)
		faults = append(faults, err)
		cost = max(cost, c)
	}
	return l, cost, errors.Join(faults...)
}

// add takes a login that is configured, and returns the cost of its hash.
func (l *Logins) add(configured Login) (cost int, err error) {
	cost, err = bcrypt.Cost([]byte(configured.PasscodeHash))
	if err == nil && !bcryptHash.MatchString(configured.PasscodeHash) {
		err = errors.New("it has more than 60 characters, or others than a hash has, so no passcode would match")
	}
	if configured.Certificate && configured.PasscodeHash == "" {
		cost, err = bcrypt.MinCost, nil
	}
	if err != nil {
		return 0, fmt.Errorf("login %q: its passcode hash is not a bcrypt hash: %w", configured.Name, err)
	}
	if _, twice := l.byName[configured.Name]; twice || configured.Name == "" {
		return 0, fmt.Errorf("login %q: names have to be unique and not empty", configured.Name)
	}
	if err := checkName(configured.Name); err != nil {
		return 0, fmt.Errorf("login %.40q: %w", configured.Name, err)
	}
	permissions, err := NewPermissions(configured.Grants, configured.Name)
	if err != nil {
		return 0, fmt.Errorf("login %q: %w", configured.Name, err)
	}
	l.byName[configured.Name] = &login{
		hash: []byte(configured.PasscodeHash), certificate: configured.Certificate,
		principal: &Principal{
			Name: configured.Name, Permissions: permissions, Method: "login", Relay: configured.Relay,
			shown: &shown{hash: []byte(configured.PasscodeHash)},
		},
	}
	return cost, nil
}

// Has reports whether name is a configured login. A nil Logins has none.
func (l *Logins) Has(name string) bool {
	return l != nil && l.byName[name] != nil
}

// Authenticate returns the principal of a login and its passcode. Passcodes are compared in
// constant time, and an unknown login takes as long as a wrong passcode. A passcode that was
// correct before is recognized by a keyed MAC, because Spring's relay logs in once for each of
// its users. It returns a *BusyError if the passcode could not be checked in time.
func (l *Logins) Authenticate(ctx context.Context, c Credentials) (*Principal, error) {
	known := l.byName[c.Login]
	mac := l.mac(c.Login, c.Passcode)
	if known != nil && known.recognizes(&mac) {
		l.accepted.Add(1)
		return known.principal, nil
	}
	if err := l.checkFailures(c); err != nil {
		return nil, err
	}
	outcome, err := l.check(ctx, c, mac)
	switch {
	case err != nil:
		return nil, err
	case outcome == dropped:
		l.busy.Add(1)
		return nil, &BusyError{RetryAfter: retryAfter}
	case outcome == matched && known != nil:
		l.accepted.Add(1)
		return known.principal, nil
	}
	l.refused.Add(1)
	l.failingPeers.add(peerOf(c.Remote), time.Now())
	l.failingLogins.add(l.mac(c.Login, ""), time.Now())
	if known == nil {
		// The name is left out: some clients send their token as the login.
		return nil, refuse(errors.New("there is no login of that name"))
	}
	return nil, refuse(fmt.Errorf("wrong passcode for login %q", c.Login))
}

// LimitFailures bounds the wrong passcodes a minute from one peer and for one login; 0 means no
// bound. Above it, only passcodes that were correct before are accepted.
func (l *Logins) LimitFailures(perPeer, perLogin int) {
	l.failingPeers.limit(perPeer)
	l.failingLogins.limit(perLogin)
}

// Continue copies the state of the Logins that l replaces: their counts, their wrong passcodes,
// and the correct ones of unchanged logins. Call it before the first Authenticate; nil changes
// nothing.
func (l *Logins) Continue(previous *Logins) {
	if l == nil || previous == nil {
		return
	}
	l.loginHistory, l.macKey = previous.loginHistory, previous.macKey
	for name, now := range l.byName {
		if before := previous.byName[name]; before != nil && bytes.Equal(before.hash, now.hash) {
			before.mu.Lock()
			now.verified, now.usedAt = before.verified, before.usedAt
			before.mu.Unlock()
		}
	}
}

func (l *Logins) checkFailures(c Credentials) error {
	now := time.Now()
	reason, limit := "your address has shown too many wrong passcodes", "address_failed_logins"
	wait := l.failingPeers.wait(peerOf(c.Remote), now)
	if ofLogin := l.failingLogins.wait(l.mac(c.Login, ""), now); ofLogin > wait {
		reason, limit, wait = "too many wrong passcodes were shown for this login", "user_failed_logins", ofLogin
	}
	if wait == 0 {
		return nil
	}
	l.limited.Add(1)
	return &BusyError{Reason: reason, Limit: limit, RetryAfter: wait.Truncate(time.Second) + time.Second}
}

// mac tells the end of the name from the start of the passcode by the name's length.
func (l *Logins) mac(name, passcode string) (sum passcodeMAC) {
	h := hmac.New(sha256.New, l.macKey[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name))))
	h.Write([]byte(name))
	h.Write([]byte(passcode))
	h.Sum(sum[:0])
	return sum
}

// recognizes reports whether the MAC is that of a passcode that was right before.
func (l *login) recognizes(mac *passcodeMAC) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.verified != nil && now.Sub(l.usedAt) > recognizedFor {
		l.verified = nil
	}
	if l.verified == nil || !hmac.Equal(l.verified[:], mac[:]) {
		return false
	}
	l.usedAt = now
	return true
}

func (l *login) remember(mac passcodeMAC) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verified, l.usedAt = &mac, time.Now()
}

// LoginStats count static logins since the start: accepted, refused, refused because checks were
// busy, and refused for earlier wrong passcodes. Waiting is how many wait now.
type LoginStats struct{ Accepted, Refused, Busy, Limited, Waiting int64 }

// Stats returns the counts as they are now. It is safe for concurrent use. A nil Logins
// has none.
func (l *Logins) Stats() LoginStats {
	if l == nil {
		return LoginStats{}
	}
	l.mu.Lock()
	waiting := l.queue.size
	l.mu.Unlock()
	return LoginStats{Accepted: l.accepted.Load(), Refused: l.refused.Load(), Busy: l.busy.Load(), Limited: l.limited.Load(), Waiting: int64(waiting)}
}

// PasscodeMatches reports whether a bcrypt hash is that of a passcode.
func PasscodeMatches(hash, passcode string) bool {
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(passcode)) == nil
}

// HashPasscode returns the bcrypt hash of a passcode, for a configuration.
func HashPasscode(passcode string) (string, error) {
	if passcode == "" {
		return "", errors.New("the passcode is empty")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(passcode), bcrypt.DefaultCost)
	return string(hash), err
}
