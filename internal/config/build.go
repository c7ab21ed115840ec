package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/clientaddr"
	"github.com/stompbox/stompbox/internal/logattr"
)

// devSecret signs tokens in development mode. It is no secret: that mode listens
// on loopback alone and lets everybody in as guest anyway. No other mode accepts it.
const devSecret = "stompbox development key, which is not secret at all"

// Logger returns the logger that log.level and log.format describe.
func (c *Config) Logger(w io.Writer) *slog.Logger {
	level, _ := c.Log.level() // checked by Load
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: logattr.Cut}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// Authenticator builds what auth describes. Key sets are fetched until ctx is done.
func (c *Config) Authenticator(ctx context.Context, log *slog.Logger) (*auth.Authenticator, error) {
	logins, err := c.logins()
	if err != nil {
		return nil, fmt.Errorf("configuration: auth.logins: %w", err)
	}
	a := &auth.Authenticator{Logins: logins}
	static, err := c.staticKeys()
	if err != nil {
		return nil, err
	}
	keys := auth.MultiKeys{}
	if len(static) > 0 {
		keys = append(keys, auth.StaticKeys(static))
	}
	if url := c.Auth.JWT.JWKSURL; url != "" {
		set, err := auth.NewJWKS(ctx, auth.JWKSOptions{URL: url, AllowHTTP: c.Auth.JWT.JWKSAllowHTTP, Refresh: c.Auth.JWT.JWKSRefresh, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("configuration: auth.jwt.jwks_url: %w", err)
		}
		keys = append(keys, set)
	}
	if len(keys) == 0 {
		return a, nil
	}
	a.Tokens, err = auth.NewVerifier(c.verifierOptions(keys))
	if err != nil {
		return nil, fmt.Errorf("configuration: auth: %w", err)
	}
	return a, nil
}

func (c *Config) verifierOptions(keys auth.Keys) auth.VerifierOptions {
	j := c.Auth.JWT
	return auth.VerifierOptions{
		Keys: keys, Issuer: j.Issuer, Audience: j.Audience, Leeway: j.Leeway, RequiredClaims: j.RequiredClaims,
		PrincipalClaim: j.PrincipalClaim, PermissionsClaim: j.PermissionsClaim, RolesClaim: j.RolesClaim,
		Roles: c.Auth.Roles, DefaultGrants: c.defaultGrants(),
	}
}

// defaultGrants are for tokens that say nothing: all in development mode.
func (c *Config) defaultGrants() auth.Grants {
	switch {
	case c.Dev:
		return auth.AllGrants()
	case !c.Auth.Default.Empty():
		return c.Auth.Default
	}
	return auth.DefaultGrants()
}

func (c *Config) logins() (*auth.Logins, error) {
	var all []auth.Login
	for _, l := range c.Auth.Logins {
		grants := l.Permissions
		if l.Role != "" {
			role, _ := c.Auth.Roles.Find(l.Role) // checked by Load
			grants.Send = append(grants.Send, role.Send...)
			grants.Subscribe = append(grants.Subscribe, role.Subscribe...)
			grants.Serve = append(grants.Serve, role.Serve...)
		}
		all = append(all, auth.Login{Name: l.Login, PasscodeHash: l.PasscodeHash, Grants: grants, Relay: l.Relay})
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
	if err := c.checkPasscodes(); err != nil {
		return nil, err
	}
	return auth.NewLogins(all)
}

// staticKeys are the keys of the configuration, and in development mode its own.
func (c *Config) staticKeys() ([]auth.Key, error) {
	j := c.Auth.JWT
	specs := append([]Key(nil), j.Keys...)
	if j.Secret != "" || j.SecretFile != "" {
		specs = append(specs, Key{Algorithm: j.Algorithm, Secret: j.Secret, SecretFile: j.SecretFile})
	}
	if j.KeyFile != "" {
		specs = append(specs, Key{Algorithm: j.Algorithm, File: j.KeyFile})
	}
	var keys []auth.Key
	for _, spec := range specs {
		key, err := spec.load(c.Dev)
		if err != nil {
			return nil, fmt.Errorf("configuration: auth.jwt key %q: %w", spec.ID, err)
		}
		keys = append(keys, key)
	}
	if c.Dev {
		key, err := devKey()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func devKey() (auth.Key, error) { return auth.NewSecretKey("stompbox-dev", "HS256", []byte(devSecret)) }

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

// readSecret returns a secret of the configuration, or of the file that it names. It
// refuses those that everybody knows, but for development mode.
func readSecret(secret, file string, dev bool) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		secret = strings.TrimRight(string(text), "\r\n")
	}
	if !dev && isPublic(secret) || strings.HasPrefix(secret, exampleSecret) {
		return "", errPublicSecret
	}
	return secret, nil
}

// exampleSecret begins the secrets of stompbox.example.yaml, which no mode takes.
const exampleSecret = "change me"

// Sign makes a token as this configuration would accept it, with its first key
// that can sign. Without any it uses the key of development mode, and dev is true.
func (c *Config) Sign(user string, claims auth.Claims) (token string, dev bool, err error) {
	keys, err := c.staticKeys()
	if err != nil {
		return "", false, err
	}
	if len(keys) == 0 && c.Auth.JWT.JWKSURL == "" {
		key, err := devKey()
		if err != nil {
			return "", false, err
		}
		keys, dev = []auth.Key{key}, true
	}
	if len(keys) == 0 {
		return "", false, fmt.Errorf("the configuration has no key that can sign; tokens come from who publishes %s", c.Auth.JWT.JWKSURL)
	}
	claims.Subject = user
	claims.Issuer, claims.PrincipalClaim, claims.PermissionsClaim = c.Auth.JWT.Issuer, c.Auth.JWT.PrincipalClaim, c.Auth.JWT.PermissionsClaim
	if len(c.Auth.JWT.Audience) > 0 {
		claims.Audience = c.Auth.JWT.Audience[:1]
	}
	token, err = auth.Sign(keys[0], claims)
	return token, dev || c.Dev, err
}

// EventsOptions are the options of streams, but for what serves them.
func (c *Config) EventsOptions() gateway.EventsOptions {
	e := c.Events
	return gateway.EventsOptions{HeartBeat: e.HeartBeat, MaxLifetime: off(e.MaxLifetime), Retry: e.Retry, Cookie: e.Cookie}
}

// SockJSOptions are the options of SockJS.
func (c *Config) SockJSOptions() gateway.SockJSOptions {
	return gateway.SockJSOptions{HeartBeat: c.SockJS.HeartBeat, DisconnectDelay: c.SockJS.DisconnectDelay, ClientURL: c.SockJS.ClientURL, MaxMessage: c.HTTP.MaxMessage}
}

// Broker returns the options of a broker, but for who authenticates and relays.
func (c *Config) Broker() broker.Options {
	l := c.Limits
	queues, _ := c.Queues.defaults() // checked by Load, as are the next two
	presence, _ := c.Presence.patterns()
	return broker.Options{
		Limits: broker.Limits{
			Frame:          frames.Limits{MaxHeaders: l.Headers, MaxHeaderLine: l.HeaderLine, MaxBody: l.Body},
			MaxDestination: l.Destination, MaxSubscriptions: l.Subscriptions, MaxTransactions: l.Transactions,
			MaxTransactionFrames: l.TransactionFrames, MaxTransactionBytes: l.TransactionBytes,
			MessageRate: l.MessageRate, MaxConnections: l.Connections,
			ConnectTimeout: l.ConnectTimeout, IdleTimeout: l.IdleTimeout, WriteTimeout: l.WriteTimeout,
		},
		Quotas: broker.Quotas{
			AddressConnections: off(l.AddressConnections), AddressConnectRate: off(l.AddressConnectRate),
			UserConnections: off(l.UserConnections), UserSubscriptions: off(l.UserSubscriptions),
			UserMessageRate: l.UserMessageRate, UserByteRate: l.UserByteRate,
		},
		HeartBeat: broker.HeartBeat{Send: off(c.HeartBeat.Send), Receive: off(c.HeartBeat.Receive), Grace: c.HeartBeat.Grace},
		Queues:    queues, Presence: presence, Name: c.Cluster.Node,
		DrainWindow: c.Drain.Window, AppTimeout: c.App.Timeout,
		Outbox: broker.OutboxOptions{MaxBytes: c.Outbox.MaxBytes, MaxFrames: c.Outbox.MaxFrames, Policy: broker.Policy(c.Outbox.Policy)},
	}
}

// off turns the zero of a configuration, which says none, into the negative
// that says so in options, whose zero means the default.
func off[T ~int | ~int64](d T) T {
	if d == 0 {
		return -1
	}
	return d
}

// Proxies are the proxies whose word on a client's address is taken: in headers or the
// PROXY protocol over HTTP, and in the PROXY protocol over TCP.
func (c *Config) Proxies() (http, stomp clientaddr.Proxies, err error) {
	if http, err = clientaddr.ParseProxies(c.HTTP.TrustedProxies); err != nil {
		return nil, nil, fmt.Errorf("http.trusted_proxies: %w", err)
	}
	if stomp, err = clientaddr.ParseProxies(c.STOMP.TrustedProxies); err != nil {
		return nil, nil, fmt.Errorf("stomp.trusted_proxies: %w", err)
	}
	switch {
	case c.HTTP.ProxyProtocol && len(http) == 0:
		return nil, nil, errors.New("http.proxy_protocol needs http.trusted_proxies, the addresses that send it")
	case c.STOMP.ProxyProtocol != (len(stomp) > 0):
		return nil, nil, errors.New("stomp.proxy_protocol and stomp.trusted_proxies, the addresses that send it, go together")
	}
	return http, stomp, nil
}
