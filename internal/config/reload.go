package config

import (
	"errors"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// KeyReason is a key, and why a broker that runs cannot change it.
type KeyReason struct {
	Key string `json:"key"`
	Why string `json:"why"`
}

// reloadable are the keys, and the tables of keys, that a reload changes.
var reloadable = []string{
	"http.allowed_origins", "http.trusted_proxies", "stomp.trusted_proxies", "http.tls", "stomp.tls", "admin.tls", "stomp.client_tls.ca", "stomp.client_tls.crl", "nats.tls", "cluster.tls.cert", "cluster.tls.key",
	"queues.prefetch", "queues.max_prefetch", "queues.max_deliveries", "queues.max_age", "queues.unconfirmed", "queues.policies",
	"app.timeout", "auth", "limits", "heartbeat", "outbox", "log.level", "drain",
}

// fixed are the others, and why they are fixed.
var fixed = map[string]string{
	"dev": "development mode decides what is served at all", "data_dir": "the store in it is open",
	"http.listen": whyListener, "stomp.listen": whyListener, "metrics": whyListener, "nats.listen": whyListener, "cluster.listen": whyListener,
	"http.proxy_protocol": whyListener, "stomp.proxy_protocol": whyListener,
	"http.compression": whyTransport, "http.max_message": whyTransport, "events": whyTransport, "sockjs": whyTransport,
	"admin.listen": whyListener, "admin.token": whyListener, "admin.token_file": whyListener, "admin.allowed_hosts": whyListener,
	"nats.url": whyNATS, "nats.credentials": whyNATS, "nats.token": whyNATS, "nats.token_file": whyNATS, "nats.password_file": whyNATS, "nats.user": whyNATS, "nats.password": whyNATS, "nats.ca": whyNATS, "nats.prefix": whyNATS,
	"cluster.peers": whyNATS, "cluster.name": whyNATS, "cluster.node": whyNATS, "cluster.user": whyNATS, "cluster.password": whyNATS, "cluster.password_file": whyNATS, "cluster.tls.ca": whyNATS,
	"stomp.client_tls.required": whyListener, "stomp.client_tls.name": whyListener,
	"acme":                "the certificates and the account of the authority are in use",
	"data":                "the store is open",
	"queues.max_bytes":    whyPlace,
	"queues.ack_wait":     whyStreams,
	"queues.replicas":     whyStreams,
	"queues.transient":    "queues that are open would be kept in another place",
	"history":             whyStreams,
	"presence":            "what nodes tell each other of topics begins at the start",
	"app.webhooks":        "webhooks are opened at the start",
	"log.format":          "the log is open",
	"queues.max_messages": whyPlace, "queues.dedup_window": whyStreams,
}

const (
	whyListener  = "ports are opened at the start"
	whyTransport = "it is set up at the start"
	whyNATS      = "the connection between nodes is made at the start"
	whyPlace     = "which queues are streams of their own, and how large, is decided when they are opened"
	whyStreams   = "the streams of JetStream are set up at the start"
)

// under finds a key in a list of keys and tables.
func under(list []string, key string) bool {
	return slices.ContainsFunc(list, func(entry string) bool { return key == entry || strings.HasPrefix(key, entry+".") })
}

// Reload returns the configuration that holds when next is read by a broker that runs with
// c: next, except for the keys that only a restart changes, which stay as they are in c and
// are listed. Changed are the keys that take effect. Started is the configuration that the broker
// was started with. For what files hold, see [FileSums].
func (c *Config) Reload(next, started *Config) (effective *Config, changed []string, kept []KeyReason, err error) {
	merged := *next
	for _, key := range leafKeys() {
		before, after := fieldOf(c, key), fieldOf(&merged, key)
		if reflect.DeepEqual(before.Interface(), after.Interface()) {
			continue
		}
		if why := whyFixed(c, next, started, key); why != "" {
			after.Set(before)
			kept = append(kept, KeyReason{key, why})
		} else {
			changed = append(changed, key)
		}
	}
	sort.Strings(changed)
	sort.Slice(kept, func(i, j int) bool { return kept[i].Key < kept[j].Key })
	return &merged, changed, kept, errors.Join(check(&merged, false)...)
}

// whyFixed returns why a key that differs cannot change, or "".
func whyFixed(c, next, started *Config, key string) string {
	if key == "stomp.client_tls.ca" && (c.STOMP.ClientTLS.CA == "") != (next.STOMP.ClientTLS.CA == "") {
		return "whether clients show certificates is decided at the start"
	}
	if table, _, ok := strings.Cut(key, ".tls."); ok && !under([]string{"cluster.tls.ca"}, key) {
		before, after := fieldOf(c, table+".tls.cert").String(), fieldOf(next, table+".tls.cert").String()
		if (before == "") != (after == "") {
			return "TLS is turned on or off at the start; only its files change"
		}
	}
	switch key {
	case "limits.body":
		if next.Limits.Body > started.Limits.Body {
			return "the largest message of NATS is set at the start; a smaller one would do"
		}
	case "queues.policies":
		if !samePlaces(c.Queues, next.Queues) {
			return whyPlace
		}
	}
	for entry, why := range fixed {
		if under([]string{entry}, key) {
			return why
		}
	}
	return ""
}

// samePlaces reports whether two lists of policies differ in nothing that decides where a
// queue is stored.
func samePlaces(a, b Queues) bool {
	type bounds struct {
		match           string
		messages, bytes int64
	}
	places := func(q Queues) (all []bounds) {
		for _, p := range q.Policies {
			all = append(all, bounds{p.Match, p.MaxMessages, int64(p.MaxBytes)})
		}
		for len(all) > 0 && all[len(all)-1].messages == 0 && all[len(all)-1].bytes == 0 {
			all = all[:len(all)-1]
		}
		return all
	}
	return slices.Equal(places(a), places(b))
}

// fieldOf returns the value of a key, which can be set.
func fieldOf(c *Config, key string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for name := range strings.SplitSeq(key, ".") {
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("mapstructure") == name {
				v = v.Field(i)
				break
			}
		}
	}
	return v
}
