package config

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

const (
	// minToken is the least length of a token, and of a password that keeps others out, in bytes.
	minToken = 20
	// minVariety is how many different bytes a secret has at least. 20 random digits have fewer
	// once in a million times.
	minVariety = 5
)

var (
	errBlankSecret      = errors.New("the secret is blank; make one: openssl rand -base64 32")
	errByteOrderMark    = errors.New("the secret begins with a byte order mark, which an editor has put there and the other side does not have; save the file as UTF-8 without BOM")
	errSeveralLines     = errors.New("the secret has a line break or another control character, or is no UTF-8, so that it cannot be sent; write it into one line, and nothing else into the file")
	errMonotonousSecret = fmt.Errorf("the secret has fewer than %d different bytes, so it is easy to guess; make one: openssl rand -base64 32", minVariety)
)

// byteOrderMark begins what some editors save.
const byteOrderMark = "\ufeff"

// readShownSecret is readSecret for a secret that is sent as a text, as a token or password is. One
// that signs may have any bytes.
func readShownSecret(secret, file string, dev bool) (string, error) {
	text, err := readSecret(secret, file, dev)
	if err == nil && (hasControl(text) || !utf8.ValidString(text)) {
		return "", errSeveralLines
	}
	return text, err
}

// isMonotonous reports a secret that repeats a few bytes, also in an encoding.
func isMonotonous(secret string) bool {
	if variety(secret) < minVariety {
		return true
	}
	for _, decoded := range decodings(secret) {
		if variety(decoded) == 1 {
			return true
		}
	}
	return false
}

// variety is how many different bytes a text has.
func variety(text string) int {
	var has [256]bool
	n := 0
	for i := range len(text) {
		if !has[text[i]] {
			has[text[i]] = true
			n++
		}
	}
	return n
}

// checkStrong refuses a secret that is too short to keep others out.
func checkStrong(secret string) error {
	if len(secret) < minToken {
		return fmt.Errorf("it has %d bytes, and needs %d; make one: openssl rand -base64 32", len(secret), minToken)
	}
	return nil
}

// mustBeStrong reports whether a password is all that keeps others out of a port of this node
// that they reach.
func mustBeStrong(c *Config, key string) bool {
	switch key {
	case "cluster.password":
		return beyondLoopback(c.Cluster.Listen)
	case "nats.password":
		return beyondLoopback(c.NATS.Listen)
	}
	return false
}

// checkPeerSecrets refuses passwords that keep no one out. Those in files are read later.
func checkPeerSecrets(c *Config, problem func(string, ...any)) {
	for _, s := range peerSecrets(c) {
		if s.value == "" {
			continue
		}
		if _, err := s.read(c); err != nil {
			problem("%w", err)
		}
	}
	cluster := c.Cluster
	checkPair("cluster", cluster.User != "", cluster.Password != "" || cluster.PasswordFile != "", true, problem)
}

// checkPair refuses a password without its user, and, where one is needed, a user without a password.
func checkPair(section string, user, password, needed bool, problem func(string, ...any)) {
	switch {
	case password && !user:
		problem("%s.password needs %s.user; they go together, and without a user the password counts for nothing", section, section)
	case user && !password && needed:
		problem("%s.user needs %s.password or %s.password_file; they go together", section, section, section)
	}
}
