package config

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
)

// check returns the values that cannot work, before anything is started.
func check(c *Config, client bool) (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.HTTP.Listen == "" && c.STOMP.Listen == "" {
		problem("http.listen and stomp.listen are both empty, so no client could connect")
	}
	listeners := map[string]string{
		"http.listen": c.HTTP.Listen, "stomp.listen": c.STOMP.Listen,
		"metrics.listen": c.Metrics.Listen, "admin.listen": c.Admin.Listen, "acme.http_listen": c.ACME.HTTPListen, "nats.listen": c.NATS.Listen, "cluster.listen": c.Cluster.Listen,
	}
	for key, address := range listeners {
		if address == "" {
			continue
		}
		host, port, err := net.SplitHostPort(address)
		switch {
		case err != nil:
			problem("%s %q is not host:port, such as 127.0.0.1:8080", key, address)
		case !isPort(key, port):
			problem("%s %q: %q is no port", key, address, port)
		case c.Dev && !gateway.IsLoopback(host):
			problem("%s %q is beyond loopback, which --dev does not allow: it accepts guest/guest; use 127.0.0.1, or configure keys and leave --dev out", key, address)
		case key == "nats.listen" && !gateway.IsLoopback(host) && (c.NATS.User == "" || c.NATS.Password == "" && c.NATS.PasswordFile == ""):
			problem("nats.listen %q is beyond loopback; set nats.user and nats.password too", address)
		case key == "cluster.listen" && !gateway.IsLoopback(host) && (c.Cluster.User == "" || c.Cluster.Password == "" && c.Cluster.PasswordFile == ""):
			problem("cluster.listen %q is beyond loopback; set cluster.user and cluster.password too, the same on all nodes", address)
		}
	}
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
	if c.NATS.URL != "" && c.NATS.Listen != "" {
		problem("nats.listen is for the embedded server; it does not go with nats.url")
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
	if _, _, err := c.Data.Syncing(); err != nil {
		problem("data.sync %q is neither always nor a time such as 2m", c.Data.Sync)
	}
	_, err = c.Queues.Parse()
	problems = append(problems, err)
	if c.Queues.AckWait < time.Second {
		problem("queues.ack_wait %s is too short; nodes that are alive extend it, so it can well be 30s", c.Queues.AckWait)
	}
	for key, n := range map[string]int{"queues.replicas": c.Queues.Replicas, "history.replicas": c.History.Replicas} {
		if n < 1 || n > 5 {
			problem("%s %d is not 1 to 5", key, n)
		}
		if c.NATS.URL == "" && c.Cluster.Listen == "" && n > 1 {
			problem("%s needs a cluster; set nats.url or cluster.listen, or leave it at 1", key)
		}
	}
	_, err = c.History.Parse()
	problems = append(problems, err)
	_, err = c.Presence.Parse()
	problems = append(problems, err)
	for key, d := range map[string]time.Duration{"events.heartbeat": c.Events.HeartBeat, "sockjs.heartbeat": c.SockJS.HeartBeat, "sockjs.disconnect_delay": c.SockJS.DisconnectDelay, "sockjs.body_timeout": c.SockJS.BodyTimeout, "app.timeout": c.App.Timeout} {
		if d < time.Second {
			problem("%s %s is too short; 1s is the least", key, d)
		}
	}
	checkRanges(c, problem)
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
	for key, n := range map[string]int64{"sockjs.max_pending": int64(c.SockJS.MaxPending), "sockjs.max_bodies": int64(c.SockJS.MaxBodies)} {
		if n < 1 {
			problem("%s %d has to be at least 1", key, n)
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
	if t := c.Cluster.TLS; (t.Cert == "") != (t.Key == "") || (t.Cert == "") != (t.CA == "") {
		problem("cluster.tls needs cert, key and ca: nodes show each other what the CA signed")
	}
	for _, peer := range c.Cluster.Peers {
		if _, _, err := net.SplitHostPort(peer); err != nil {
			problem("cluster.peers: %q is not host:port", peer)
		}
	}
}

func hasCredentials(c *Config) bool {
	j := c.Auth.JWT
	return j.Secret != "" || j.SecretFile != "" || j.KeyFile != "" || len(j.Keys) > 0 || j.JWKSURL != "" || len(c.Auth.Logins) > 0
}

// ParseLevel returns the level.
func (l Log) ParseLevel() (slog.Level, error) {
	var level slog.Level
	err := level.UnmarshalText([]byte(l.Level))
	return level, err
}

// isPort reports whether a listener can have a port. That of NATS has to be a number, and
// one that others know.
func isPort(key, port string) bool {
	if key == "nats.listen" || key == "cluster.listen" {
		n, err := strconv.Atoi(port)
		return err == nil && n > 0 && n < 1<<16
	}
	_, err := net.LookupPort("tcp", port)
	return err == nil
}
