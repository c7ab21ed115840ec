package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/viper"
)

// need is a setting that others have no effect without.
type need struct {
	set  bool   // as a configuration is
	name string // of what is to be set
	keys []string
	but  []string // keys below keys that have an effect all the same
}

// needs are all of them. Of what is refused, or cannot be left out, there is none.
func needs(c *Config) []need {
	metrics, admin := c.Metrics.Listen != "", c.Admin.Listen != ""
	// The listener of metrics takes the token of the other one too, where it wants one at all.
	shared := metrics && (c.Metrics.Token != "" || c.Metrics.TokenFile != "")
	j := c.Auth.JWT
	tokens := c.Dev || j.Secret != "" || j.SecretFile != "" || j.KeyFile != "" || len(j.Keys) > 0 || j.JWKSURL != ""
	roles := tokens || slices.ContainsFunc(c.Auth.Logins, func(l Login) bool { return l.Role != "" })
	return []need{
		{c.HTTP.Listen != "", "http.listen", []string{"http", "events", "sockjs", "limits.idle_timeout"}, []string{"http.listen"}},
		{c.HTTP.Listen != "" || admin, "http.listen or admin.listen", []string{"limits.user_request_rate", "limits.address_request_rate"}, nil},
		{len(c.SockJS.Transports) > 0, "sockjs.transports", []string{"sockjs"}, []string{"sockjs.transports"}},
		{c.STOMP.Listen != "", "stomp.listen", []string{"stomp"}, nil},
		{c.STOMP.ClientTLS.CA != "", "stomp.client_tls.ca", []string{"stomp.client_tls.name"}, nil},
		{c.ACME.On(), "acme.domains", []string{"acme"}, nil},
		{metrics, "metrics.listen", []string{"metrics"}, []string{"metrics.queues", "metrics.pprof"}},
		{metrics || c.Dev, "metrics.listen", []string{"metrics.pprof"}, nil},
		{metrics || admin || c.Dev, "metrics.listen or admin.listen", []string{"metrics.queues"}, nil},
		{admin, "admin.listen", []string{"admin"}, []string{"admin.token", "admin.token_file"}},
		{admin || shared, "admin.listen", []string{"admin.token", "admin.token_file"}, nil},
		{c.Cluster.Listen != "", "cluster.listen", []string{"cluster"}, []string{"cluster.node"}},
		{tokens, "a key for tokens, such as auth.jwt.secret_file or auth.jwt.jwks_url", []string{"auth.jwt", "auth.default"}, []string{"auth.jwt.jwks_refresh"}},
		{j.JWKSURL != "", "auth.jwt.jwks_url", []string{"auth.jwt.jwks_refresh"}, nil},
		{len(c.Auth.Roles) > 0, "auth.roles", []string{"auth.jwt.roles_claim"}, nil},
		{roles, "a key for tokens, or a role of auth.logins", []string{"auth.roles"}, nil},
		{c.Dev || len(c.Auth.Logins) > 0, "auth.logins", []string{"limits.address_failed_logins", "limits.user_failed_logins"}, nil},
		{len(c.History.Policies) > 0, "history.policies", []string{"history.durable_idle", "limits.user_durables", "limits.user_history_bytes", "limits.node_history_bytes"}, nil},
		{c.HeartBeat.Receive > 0, "heartbeat.receive", []string{"heartbeat.grace"}, nil},
	}
}

// WithoutEffect says which settings other than the default have no effect, and what they need. It
// is for warnings: [Load] refuses what could be taken for a protection that is not there.
func WithoutEffect(c *Config) (all []string) {
	for _, n := range needs(c) {
		if n.set {
			continue
		}
		var idle []string
		for _, key := range leafKeys() {
			if under(n.keys, key) && !under(n.but, key) && !hasDefault(c, key) {
				idle = append(idle, key)
			}
		}
		if len(idle) > 0 {
			all = append(all, fmt.Sprintf("no effect without %s: %s", n.name, strings.Join(idle, ", ")))
		}
	}
	for _, listener := range c.ACME.Listeners {
		if c.ACME.On() && fieldOf(c, listener+".listen").String() == "" {
			all = append(all, fmt.Sprintf("no effect without %s.listen: %s in acme.listeners", listener, listener))
		}
	}
	if c.Dev && !c.Auth.Default.Empty() {
		all = append(all, "no effect in development mode, where tokens that say nothing may do everything: auth.default")
	}
	return all
}

// unset is a configuration that sets nothing.
var unset = sync.OnceValue(func() *Config {
	v, c := viper.New(), new(Config)
	for key, value := range defaults() {
		v.SetDefault(key, value)
	}
	decode(v, c)
	return c
})

// hasDefault reports whether a key has the value that it has where nothing sets it.
func hasDefault(c *Config, key string) bool {
	is, standard := fieldOf(c, key), fieldOf(unset(), key)
	if kind := is.Kind(); (kind == reflect.Slice || kind == reflect.Map) && is.Len() == 0 {
		return standard.Len() == 0
	}
	return reflect.DeepEqual(is.Interface(), standard.Interface())
}
