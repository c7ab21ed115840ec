package config

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"

	"github.com/stompbox/stompbox/gateway"
)

// Metrics says where Prometheus finds them, and who may read them.
type Metrics struct {
	Listen       string   `mapstructure:"listen"`
	Pprof        bool     `mapstructure:"pprof"`
	Queues       int      `mapstructure:"queues"`
	Token        string   `mapstructure:"token"`
	TokenFile    string   `mapstructure:"token_file"`
	Anonymous    bool     `mapstructure:"anonymous"`
	AllowedHosts []string `mapstructure:"allowed_hosts"`
}

// Admin is the listener of operators.
type Admin struct {
	Listen       string   `mapstructure:"listen"`
	Token        string   `mapstructure:"token"`
	TokenFile    string   `mapstructure:"token_file"`
	TLS          TLS      `mapstructure:"tls"`
	AllowedHosts []string `mapstructure:"allowed_hosts"`
}

// Token is a secret that a request shows as Authorization: Bearer. The zero value is none,
// which nothing matches.
type Token struct {
	set bool
	sum [sha256.Size]byte
}

// IsSet reports whether there is a token.
func (t Token) IsSet() bool { return t.set }

// Matches reports whether a text is the token, in a time that says nothing of it.
func (t Token) Matches(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return t.set && subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1
}

// LoadToken reads the token of the listener of metrics.
func (m Metrics) LoadToken(dev bool) (Token, error) {
	return loadToken("metrics", m.Token, m.TokenFile, dev)
}

// LoadToken reads the token of the listener of operators.
func (a Admin) LoadToken(dev bool) (Token, error) {
	return loadToken("admin", a.Token, a.TokenFile, dev)
}

// ReadToken returns the token itself, for a request to that listener, or "".
func (a Admin) ReadToken(dev bool) (string, error) {
	if a.Token == "" && a.TokenFile == "" {
		return "", nil
	}
	return readShownSecret(a.Token, a.TokenFile, dev)
}

func loadToken(section, value, file string, dev bool) (Token, error) {
	if value == "" && file == "" {
		return Token{}, nil
	}
	text, err := readShownSecret(value, file, dev)
	if err == nil {
		err = checkStrong(text)
	}
	if err != nil {
		return Token{}, fmt.Errorf("%s.token: %w", section, err)
	}
	return Token{set: true, sum: sha256.Sum256([]byte(text))}, nil
}

// checkAdmin refuses listeners that would show anyone what is for operators.
func checkAdmin(c *Config, problem func(string, ...any)) {
	m, a := c.Metrics, c.Admin
	if open := beyondLoopback(m.Listen) && m.Token == "" && m.TokenFile == ""; open && !m.Anonymous {
		problem("metrics.listen %q is beyond loopback; set metrics.token_file, or metrics.anonymous where only your monitoring reaches it", m.Listen)
	} else if open && m.Pprof {
		problem("metrics.pprof beyond loopback needs metrics.token_file: profiles show what is in memory")
	}
	if beyondLoopback(a.Listen) && a.Token == "" && a.TokenFile == "" {
		problem("admin.listen %q is beyond loopback; set admin.token_file too", a.Listen)
	}
	if (a.TLS.Cert == "") != (a.TLS.Key == "") {
		problem("admin.tls needs both cert and key")
	}
}

func beyondLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && !gateway.IsLoopback(host)
}
