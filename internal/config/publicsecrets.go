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

// checkPasscodes refuses logins without a passcode, or with one that everybody knows. bcrypt takes its time, so
// all are compared at once.
func checkPasscodes(logins []auth.Login) error {
	problems := make([]error, len(logins))
	var compared sync.WaitGroup
	for i, login := range logins {
		compared.Go(func() {
			if auth.PasscodeMatches(login.PasscodeHash, "") {
				problems[i] = fmt.Errorf("login %q: its passcode is blank; choose one, and hash it with stompbox config hash", login.Name)
				return
			}
			for _, passcode := range publicPasscodes {
				if auth.PasscodeMatches(login.PasscodeHash, passcode) {
					problems[i] = fmt.Errorf("login %q: its passcode is that of an example, which everybody knows; choose one, and hash it with stompbox config hash", login.Name)
				}
			}
		})
	}
	compared.Wait()
	return errors.Join(problems...)
}
