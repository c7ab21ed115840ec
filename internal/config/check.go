package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/relay"
)

// check returns the values that cannot work, before anything is started.
func check(c *Config, client bool) (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	checkListeners(c, problem)
	for key, t := range map[string]TLS{"http.tls": c.HTTP.TLS, "stomp.tls": c.STOMP.TLS, "nats.tls": c.NATS.TLS} {
		if (t.Cert == "") != (t.Key == "") {
			problem("%s needs both cert and key", key)
		}
	}
	if err := gateway.CheckOrigins(c.HTTP.AllowedOrigins); err != nil {
		problem("http.allowed_origins: %w", err)
	}
	if _, _, err := c.Proxies(); err != nil {
		problem("%w", err)
	}
	for i, l := range c.Auth.Logins {
		if _, ok := c.Auth.Roles.Find(l.Role); l.Role != "" && !ok {
			problem("auth.logins, entry %d: login %q has role %q, which auth.roles does not define", i+1, l.Login, l.Role)
		}
	}
	err := broker.Policy(c.Outbox.Policy).Check()
	if err != nil {
		problem("outbox.policy: %w", err)
	}
	if _, every, err := c.Data.Syncing(); err != nil {
		problem("data.sync %q is neither always nor a time such as 2m", c.Data.Sync)
	} else if every > 0 && every < minSync {
		problem("data.sync %q is too short; %s is the least, and always syncs each message", c.Data.Sync, minSync)
	}
	_, err = c.Queues.Parse()
	problems = append(problems, err)
	if q := c.Queues; q.Prefetch > q.MaxPrefetch && q.MaxPrefetch > 0 && q.Prefetch != defaultPrefetch {
		problem("queues.prefetch %d is more than queues.max_prefetch %d", q.Prefetch, q.MaxPrefetch)
	}
	for key, n := range map[string]int{"queues.replicas": c.Queues.Replicas, "history.replicas": c.History.Replicas} {
		if c.NATS.URL == "" && c.Cluster.Listen == "" && n > 1 {
			problem("%s needs a cluster; set nats.url or cluster.listen, or leave it at 1", key)
		}
	}
	_, err = c.History.Parse()
	problems = append(problems, err)
	_, err = c.Presence.Parse()
	problems = append(problems, err)
	checkRanges(c, problem)
	checkZeros(c, problem)
	checkContradictions(c, problem)
	checkTexts(reflect.ValueOf(*c), "", problem)
	checkNATS(c, problem)
	checkHosts(c, problem)
	checkClaims(c, problem)
	checkSockJS(c, problem)
	checkCluster(c, problem)
	checkAdmin(c, problem)
	checkACME(c, problem)
	checkClientTLS(c, problem)
	checkSecrets(c, problem)
	if !client { // which shows them to no one
		checkPeerSecrets(c, problem)
	}
	checkWebhooks(c, problem)
	if _, err := c.Log.ParseLevel(); err != nil {
		problem("log.level %q is not debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		problem("log.format %q is not text or json", c.Log.Format)
	}
	if !c.Dev && !client && !hasCredentials(c) {
		problem("no client could authenticate: set auth.jwt.secret, auth.jwt.secret_file, auth.jwt.key_file, auth.jwt.keys, auth.jwt.jwks_url or auth.logins; or try it with --dev")
	}
	return problems
}

func checkSockJS(c *Config, problem func(string, ...any)) {
	for _, transport := range c.SockJS.Transports {
		if !slices.Contains(gateway.SockJSTransports, transport) {
			problem("sockjs.transports: there is no %q; use %s", transport, strings.Join(gateway.SockJSTransports, ", "))
		}
	}
}

// checkNATS refuses what is for an external server where there is none.
func checkNATS(c *Config, problem func(string, ...any)) {
	n := c.NATS
	if n.URL != "" && n.Listen != "" {
		problem("nats.listen is for the embedded server; it does not go with nats.url")
	}
	// An external server may know users without a password.
	checkPair("nats", n.User != "", n.Password != "" || n.PasswordFile != "", n.Listen != "", problem)
	if n.URL != "" {
		checkServers(n.URL, problem)
		return
	}
	for _, s := range []struct{ key, value string }{
		{"nats.credentials", n.Credentials}, {"nats.token", n.Token}, {"nats.token_file", n.TokenFile}, {"nats.ca", n.CA}, {"nats.tls", n.TLS.Cert},
	} {
		if s.value != "" {
			problem("%s is for an external server; set nats.url too, or leave it out", s.key)
		}
	}
	if n.Listen == "" && (n.User != "" || n.Password != "" || n.PasswordFile != "") {
		problem("nats.user and nats.password need nats.url or nats.listen; leave them out otherwise")
	}
}

// checkServers refuses what is no list of NATS servers.
func checkServers(list string, problem func(string, ...any)) {
	overWebSocket := make(map[bool]bool)
	for u, err := range relay.Servers(list) {
		switch {
		case err != nil || u.Hostname() == "":
			problem("nats.url has an entry that is no server, such as nats://nats.example:4222")
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			problem("nats.url begins an entry with %s://; use nats, tls, ws or wss", u.Scheme)
		case u.Port() != "" && !isKnownPort(u.Port()):
			problem("nats.url: %q is not a port from 1 to 65535", u.Port())
		default:
			overWebSocket[strings.HasPrefix(u.Scheme, "ws")] = true
		}
	}
	if len(overWebSocket) > 1 {
		problem("nats.url has servers over WebSockets and others; use one of both for all")
	}
}

// cookieName matches a token of RFC 9110, which the name of a cookie is (RFC 6265, 4.1.1).
var cookieName = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

// checkClaims refuses names that no token can have.
func checkClaims(c *Config, problem func(string, ...any)) {
	j := c.Auth.JWT
	for key, name := range map[string]string{"principal_claim": j.PrincipalClaim, "permissions_claim": j.PermissionsClaim, "roles_claim": j.RolesClaim} {
		if name == "" {
			problem("auth.jwt.%s is empty; name a claim, or leave it out for the default", key)
		}
	}
}

// checkHosts refuses entries that no request could match.
func checkHosts(c *Config, problem func(string, ...any)) {
	for key, hosts := range map[string][]string{"metrics.allowed_hosts": c.Metrics.AllowedHosts, "admin.allowed_hosts": c.Admin.AllowedHosts} {
		for _, host := range hosts {
			if host == "" || strings.ContainsAny(host, "/: *,@") {
				problem("%s: %q is not the name of a host, such as metrics.example; leave out scheme and port", key, host)
			}
		}
	}
	if name := c.Events.Cookie; name != "" && !cookieName.MatchString(name) {
		problem("events.cookie %q cannot be the name of a cookie: it has a space or another separator", name)
	}
	if at := c.SockJS.ClientURL; at != "" {
		if u, err := url.Parse(at); err != nil || u.Path == "" || u.Host == "" && !strings.HasPrefix(at, "/") || u.Host != "" && u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
			problem("sockjs.client_url %q is neither an http or https URL nor a path that begins with /", at)
		}
	}
}

func checkCluster(c *Config, problem func(string, ...any)) {
	switch {
	case c.Cluster.Listen == "" && len(c.Cluster.Peers) > 0:
		problem("cluster.peers needs cluster.listen, where the peers reach this node")
	case c.Cluster.Listen != "" && c.NATS.URL != "":
		problem("cluster.listen is for embedded servers; it does not go with nats.url")
	case c.Cluster.Listen != "" && c.Cluster.Node == "":
		problem("cluster.listen needs cluster.node, a name for this node that no other has and that stays")
	}
	if c.Cluster.Listen != "" && len(c.Cluster.Peers) == 0 && c.NATS.URL == "" {
		problem("cluster.listen needs cluster.peers, the host:port of the other nodes; a single node needs neither")
	}
	own := func(peer string) bool { return isOwnPeer(peer, c.Cluster.Listen) }
	if len(c.Cluster.Peers) > 0 && !slices.ContainsFunc(c.Cluster.Peers, func(peer string) bool { return !own(peer) }) {
		problem("cluster.peers has only this node, which would wait for another one forever; add the host:port of the other nodes, or leave out cluster.listen and cluster.peers for a single node")
	}
	if t := c.Cluster.TLS; (t.Cert == "") != (t.Key == "") || (t.Cert == "") != (t.CA == "") {
		problem("cluster.tls needs cert, key and ca: nodes show each other what the CA signed")
	}
	for _, peer := range c.Cluster.Peers {
		switch host, port, err := net.SplitHostPort(peer); {
		case err != nil || host == "" || strings.ContainsAny(host, " /@"):
			problem("cluster.peers: %q is not host:port, such as 10.0.0.2:6222", peer)
		case !isKnownPort(port):
			problem("cluster.peers: %q: %q is not a port from 1 to 65535", peer, port)
		}
	}
}

func hasCredentials(c *Config) bool {
	j := c.Auth.JWT
	return j.Secret != "" || j.SecretFile != "" || j.KeyFile != "" || len(j.Keys) > 0 || j.JWKSURL != "" || len(c.Auth.Logins) > 0
}

// ParseLevel returns the level.
func (l Log) ParseLevel() (slog.Level, error) {
	for name, level := range map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if strings.EqualFold(l.Level, name) {
			return level, nil
		}
	}
	return slog.LevelInfo, fmt.Errorf("%q is not debug, info, warn or error", l.Level)
}
