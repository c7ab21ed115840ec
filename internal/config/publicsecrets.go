package config

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/stompbox/stompbox/auth"
)

// publicSecrets are in the code, the documents or the examples of this project, so that
// everybody knows them. All are in lower case.
var publicSecrets = []string{
	devSecret,
	"change me", // begins those of stompbox.example.yaml
	"make one:", // begins those of docs
	"a secret that everybody knows",
}

// publicPasscodes are those of the documents and the examples.
var publicPasscodes = []string{"guest", "the passcode", "a passcode of tests"}

var errPublicSecret = errors.New("the secret is that of an example, which everybody knows; make one: openssl rand -base64 32")

// isPublic reports whether everybody knows a secret, however it is encoded: who guesses
// tries that too.
func isPublic(secret string) bool { return isPublicWithin(secret, 3) }

// isPublicWithin undoes up to so many encodings.
func isPublicWithin(secret string, depth int) bool {
	plain := strings.ToLower(strings.Trim(secret, " \t\r\n\"'"))
	for _, public := range publicSecrets {
		if strings.Contains(plain, public) {
			return true
		}
	}
	for _, passcode := range publicPasscodes {
		if plain == passcode {
			return true
		}
	}
	if depth == 0 {
		return false
	}
	for _, decoded := range decodings(strings.TrimSpace(secret)) {
		if decoded != secret && isPublicWithin(decoded, depth-1) {
			return true
		}
	}
	return false
}

// decodings are what a text stands for in the encodings that it can be in.
func decodings(text string) []string {
	var all []string
	add := func(decoded []byte, err error) {
		if err == nil && len(decoded) > 0 {
			all = append(all, string(decoded))
		}
	}
	text = strings.TrimPrefix(text, "whsec_")
	dense := strings.Join(strings.Fields(text), "") // base64 and hex come in lines
	unpadded := strings.TrimRight(dense, "=")
	add(base64.RawStdEncoding.DecodeString(unpadded))
	add(base64.RawURLEncoding.DecodeString(unpadded))
	add(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(unpadded)))
	add(hex.DecodeString(strings.ReplaceAll(dense, ":", "")))
	if decoded, err := url.PathUnescape(text); err == nil && decoded != text {
		all = append(all, decoded)
	}
	return all
}

// passcodes remembers what was found out about hashes: serve and each reload read a configuration whose
// hashes are mostly those of before, and bcrypt takes its time.
var passcodes = passcodeChecks{matches: auth.PasscodeMatches}

// checkPasscodes refuses logins without a passcode, or with one that everybody knows.
func checkPasscodes(logins []auth.Login) error { return passcodes.check(logins) }

// passcodeChecks compares hashes with the passcodes that no login may have, each hash once. It is safe for
// concurrent use.
type passcodeChecks struct {
	matches func(hash, passcode string) bool

	mu    sync.Mutex
	found map[string]string // what is wrong with the passcode of a hash, or "": for the hashes of the last check
}

func (p *passcodeChecks) check(logins []auth.Login) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := make([]string, len(logins))
	var compared sync.WaitGroup
	for i, login := range logins {
		text, known := p.found[login.PasscodeHash]
		if known {
			found[i] = text
			continue
		}
		compared.Go(func() { found[i] = p.compare(login.PasscodeHash) })
	}
	compared.Wait()
	p.found = make(map[string]string, len(logins))
	problems := make([]error, len(logins))
	for i, login := range logins {
		p.found[login.PasscodeHash] = found[i]
		if found[i] != "" {
			problems[i] = fmt.Errorf("login %q: its passcode is %s; choose one, and hash it with stompbox config hash", login.Name, found[i])
		}
	}
	return errors.Join(problems...)
}

// compare says what is wrong with the passcode of a hash, or returns "".
func (p *passcodeChecks) compare(hash string) string {
	if p.matches(hash, "") {
		return "blank"
	}
	for _, passcode := range publicPasscodes {
		if p.matches(hash, passcode) {
			return "that of an example, which everybody knows"
		}
	}
	return ""
}
