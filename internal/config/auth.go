package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/stompbox/stompbox/auth"
)

// devSecret signs tokens in development mode. It is no secret: that mode listens
// on loopback alone and lets everybody in as guest anyway. No other mode accepts it.
const devSecret = "stompbox development key, which is not secret at all"

// DefaultGrants are for tokens that say nothing: all in development mode.
func (c *Config) DefaultGrants() auth.Grants {
	switch {
	case c.Dev:
		return auth.AllGrants()
	case !c.Auth.Default.Empty():
		return c.Auth.Default
	}
	return auth.DefaultGrants()
}

// StaticLogins are the logins of the configuration with their grants, and in development
// mode guest.
func (c *Config) StaticLogins() ([]auth.Login, error) {
	var all []auth.Login
	for _, l := range c.Auth.Logins {
		grants := l.Permissions
		if l.Role != "" {
			role, _ := c.Auth.Roles.Find(l.Role) // checked by Load
			grants.Send = append(grants.Send, role.Send...)
			grants.Subscribe = append(grants.Subscribe, role.Subscribe...)
			grants.Serve = append(grants.Serve, role.Serve...)
		}
		hash, err := l.hash()
		if err != nil {
			return nil, err
		}
		all = append(all, auth.Login{Name: l.Login, PasscodeHash: hash, Certificate: l.Certificate, Grants: grants, Relay: l.Relay})
	}
	if c.Dev {
		hash, err := auth.HashPasscode("guest")
		if err != nil {
			return nil, err
		}
		all = append(all, auth.Login{Name: "guest", PasscodeHash: hash, Grants: auth.AllGrants()})
	}
	if len(all) == 0 {
		return nil, nil
	}
	if c.Dev {
		return all, nil
	}
	return all, checkPasscodes(all)
}

// hash returns the hash of the passcode, or that of the file with it.
func (l Login) hash() (string, error) {
	if l.HashFile == "" {
		return l.PasscodeHash, nil
	}
	text, err := os.ReadFile(l.HashFile)
	if err != nil {
		return "", fmt.Errorf("login %q: passcode_hash_file: %w", l.Login, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// StaticKeys are the keys of the configuration, and in development mode its own.
func (c *Config) StaticKeys() ([]auth.Key, error) {
	j := c.Auth.JWT
	specs := append([]Key(nil), j.Keys...)
	if j.Secret != "" || j.SecretFile != "" {
		specs = append(specs, Key{Algorithm: j.Algorithm, Secret: j.Secret, SecretFile: j.SecretFile})
	}
	if j.KeyFile != "" {
		specs = append(specs, Key{Algorithm: j.Algorithm, File: j.KeyFile})
	}
	var keys []auth.Key
	var faults []error
	for _, spec := range specs {
		key, err := spec.load(c.Dev)
		if err != nil {
			faults = append(faults, fmt.Errorf("configuration: auth.jwt key %q: %w", spec.ID, err))
		}
		keys = append(keys, key)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if c.Dev {
		key, err := DevKey()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// DevKey is the key of development mode.
func DevKey() (auth.Key, error) { return auth.NewSecretKey("stompbox-dev", "HS256", []byte(devSecret)) }

func (k Key) load(dev bool) (auth.Key, error) {
	if k.File != "" {
		text, err := os.ReadFile(k.File)
		if err != nil {
			return auth.Key{}, err
		}
		return auth.NewPEMKey(k.ID, k.Algorithm, text)
	}
	secret, err := readSecret(k.Secret, k.SecretFile, dev)
	if err != nil {
		return auth.Key{}, err
	}
	return auth.NewSecretKey(k.ID, k.Algorithm, []byte(secret))
}

// readSecret returns a secret of the configuration, or of the file that it names. It refuses one
// that is blank, and those that everybody knows or guesses, except for development mode.
func readSecret(secret, file string, dev bool) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		secret = strings.TrimRight(string(text), "\r\n")
	}
	switch {
	case strings.TrimSpace(secret) == "":
		return "", errBlankSecret
	case strings.HasPrefix(secret, byteOrderMark) && utf8.ValidString(secret): // random bytes that begin so are no UTF-8
		return "", errByteOrderMark
	case !dev && isPublic(secret) || strings.HasPrefix(secret, exampleSecret):
		return "", errPublicSecret
	case !dev && isMonotonous(secret):
		return "", errMonotonousSecret
	}
	return secret, nil
}

// exampleSecret begins the secrets of stompbox.example.yaml, which no mode takes.
const exampleSecret = "change me"
