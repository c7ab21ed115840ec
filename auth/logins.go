package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Login is a static login, as Spring's broker relay and RabbitMQ's clients use.
type Login struct {
	// Name is the login header, and the name of the principal.
	Name string
	// PasscodeHash is the bcrypt hash of the passcode.
	PasscodeHash string
	// Grants are what it may do.
	Grants Grants
	// Relay is for an application that relays the sessions of its own clients.
	Relay bool
}

// Logins checks static logins. It is safe for concurrent use.
type Logins struct {
	byName map[string]*login
	unseen []byte // a hash to compare with when the login is unknown
	macKey [32]byte
	slots  chan struct{}
}

type login struct {
	hash      []byte
	principal *Principal

	mu       sync.Mutex
	verified []byte // MAC of the passcode that matched the hash, once one did
}

// NewLogins checks the hashes and the patterns of the logins. Errors name the
// login that is wrong.
func NewLogins(all []Login) (*Logins, error) {
	l := &Logins{byName: make(map[string]*login), slots: make(chan struct{}, 2)}
	if _, err := rand.Read(l.macKey[:]); err != nil {
		return nil, err
	}
	cost := bcrypt.MinCost
	for _, one := range all {
		c, err := bcrypt.Cost([]byte(one.PasscodeHash))
		if err != nil {
			return nil, fmt.Errorf("login %q: its passcode hash is not a bcrypt hash: %w", one.Name, err)
		}
		if _, twice := l.byName[one.Name]; twice || one.Name == "" {
			return nil, fmt.Errorf("login %q: names have to be unique and not empty", one.Name)
		}
		permissions, err := NewPermissions(one.Grants, one.Name)
		if err != nil {
			return nil, fmt.Errorf("login %q: %w", one.Name, err)
		}
		cost = max(cost, c)
		l.byName[one.Name] = &login{
			hash:      []byte(one.PasscodeHash),
			principal: &Principal{Name: one.Name, Permissions: permissions, Method: "login", Relay: one.Relay},
		}
	}
	var err error
	l.unseen, err = bcrypt.GenerateFromPassword(l.macKey[:16], cost)
	return l, err
}

// Has reports whether name is a configured login. A nil Logins has none.
func (l *Logins) Has(name string) bool {
	return l != nil && l.byName[name] != nil
}

// Authenticate returns the principal of a login. Passcodes are compared in
// constant time, an unknown login takes as long as a wrong passcode, and few
// comparisons run at a time, since bcrypt is slow on purpose. A passcode that
// was right before is recognized by a keyed MAC instead, as Spring's relay logs
// in once for each of its users.
func (l *Logins) Authenticate(name, passcode string) (*Principal, error) {
	known := l.byName[name]
	if known == nil {
		l.slots <- struct{}{}
		defer func() { <-l.slots }()
		_ = bcrypt.CompareHashAndPassword(l.unseen, []byte(passcode))
		return nil, refuse(fmt.Errorf("there is no login %q", name))
	}
	mac := hmac.New(sha256.New, l.macKey[:])
	mac.Write([]byte(passcode))
	sum := mac.Sum(nil)
	if known.recognizes(sum) {
		return known.principal, nil
	}
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	if known.recognizes(sum) {
		return known.principal, nil // many came at once, and one of them was first
	}
	if bcrypt.CompareHashAndPassword(known.hash, []byte(passcode)) != nil {
		return nil, refuse(fmt.Errorf("wrong passcode for login %q", name))
	}
	known.mu.Lock()
	known.verified = sum
	known.mu.Unlock()
	return known.principal, nil
}

// recognizes reports whether the MAC is that of a passcode that was right before.
func (l *login) recognizes(sum []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.verified != nil && hmac.Equal(l.verified, sum)
}

// HashPasscode returns the bcrypt hash of a passcode, for a configuration.
func HashPasscode(passcode string) (string, error) {
	if passcode == "" {
		return "", errors.New("the passcode is empty")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(passcode), bcrypt.DefaultCost)
	return string(hash), err
}
