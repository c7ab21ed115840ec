package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stompbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

const secret = "auth:\n  jwt:\n    secret: 0123456789abcdef0123456789abcdef\n"

func TestFlagsWinOverVariablesOverFileOverDefaults(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("http", "", "")
	require.NoError(t, flags.Parse([]string{"--http", "127.0.0.1:3"}))
	file := write(t, secret+"http:\n  listen: 127.0.0.1:1\nstomp:\n  listen: 127.0.0.1:1\nlimits:\n  connect_timeout: 3s\n")
	c, err := config.Load(config.Source{File: file, Flags: map[string]*pflag.Flag{"http.listen": flags.Lookup("http")},
		Environ: []string{"STOMPBOX_HTTP_LISTEN=127.0.0.1:2", "STOMPBOX_STOMP_LISTEN=127.0.0.1:2", "STOMPBOX_HTTP_ALLOWED_ORIGINS=https://a,https://b", "HOME=/"}})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:3", c.HTTP.Listen)
	require.Equal(t, "127.0.0.1:2", c.STOMP.Listen)
	require.Equal(t, 3*time.Second, c.Limits.ConnectTimeout)
	require.Equal(t, 20*time.Second, c.Limits.WriteTimeout)
	require.Equal(t, []string{"https://a", "https://b"}, c.HTTP.AllowedOrigins)
}

// TestValuesAreReadAsTheyAreWritten: a text that looks like a number stays a text, and a list in
// a variable may have spaces.
func TestValuesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{
		File:    write(t, secret+"    issuer: 0123\n    audience: [1e3, yes, 2026-11-26]\nlog: { level: Debug }\nqueues: { prefetch: 10, max_prefetch: 10 }\n"),
		Environ: []string{"STOMPBOX_HTTP_ALLOWED_ORIGINS= https://a , https://b", "STOMPBOX_AUTH_JWT_REQUIRED_CLAIMS="},
	})
	require.NoError(t, err)
	require.Equal(t, "0123", c.Auth.JWT.Issuer)
	require.Equal(t, []string{"1e3", "yes", "2026-11-26"}, c.Auth.JWT.Audience)
	require.Equal(t, []string{"https://a", "https://b"}, c.HTTP.AllowedOrigins)
	require.Empty(t, c.Auth.JWT.RequiredClaims)
}

// TestAFaultOfAURLShowsNoPassword: what the log and the terminal have may be seen by others.
func TestAFaultOfAURLShowsNoPassword(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"nats://node:a-hidden-password@[", "http://node:a-hidden-password@a", "nats://node:a-hidden-password@a:0"} {
		_, err := config.Load(config.Source{File: write(t, secret+"nats: { url: '"+at+"' }\n"), Environ: []string{}})
		require.ErrorContains(t, err, "nats.url")
		require.NotContains(t, err.Error(), "a-hidden-password")
	}
}

// TestServiceLinksOfKubernetesAreNoKeys: a service called stompbox, or one whose name
// begins so, sets variables in every pod of its namespace.
func TestServiceLinksOfKubernetesAreNoKeys(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{File: write(t, secret), Environ: []string{
		"STOMPBOX_SERVICE_HOST=10.0.0.1", "STOMPBOX_SERVICE_PORT=8080", "STOMPBOX_SERVICE_PORT_HTTP=8080", "STOMPBOX_PORT=tcp://10.0.0.1:8080",
		"STOMPBOX_PORT_8080_TCP=tcp://10.0.0.1:8080", "STOMPBOX_PORT_8080_TCP_PROTO=tcp", "STOMPBOX_PORT_8080_TCP_PORT=8080", "STOMPBOX_PORT_8080_TCP_ADDR=10.0.0.1",
		"STOMPBOX_METRICS_SERVICE_HOST=10.0.0.2", "STOMPBOX_LOG_LEVEL=debug",
	}})
	require.NoError(t, err)
	require.Equal(t, "debug", c.Log.Level)
	for _, mistake := range []string{"STOMPBOX_HTTP_PORT=8080", "STOMPBOX_PORT=8080", "STOMPBOX_SERVICE=x"} {
		_, err := config.Load(config.Source{File: write(t, secret), Environ: []string{mistake}})
		require.ErrorContains(t, err, "unknown variable")
	}
}

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file    string
		environ []string
		says    string
	}{
		"unknown key":           {secret + "http:\n  lissten: x\n", nil, `unknown key "http.lissten"; did you mean "http.listen"?`},
		"unknown key in a list": {"auth:\n  logins:\n    - logn: x\n", nil, `unknown key "auth.logins.logn"`},
		"unknown section":       {secret + "zzzzqqqq: 1\n", nil, "stompbox.example.yaml explains"},
		"unknown variable":      {secret, []string{"STOMPBOX_OUTBOX_POLCY=x"}, `did you mean "STOMPBOX_OUTBOX_POLICY"?`},
		"wrong type":            {secret + "limits:\n  body: many\n", nil, "limits.body"},
		"no credentials":        {"http:\n  listen: 127.0.0.1:1\n", nil, "set auth.jwt.secret"},
		"dev beyond loopback":   {"dev: true\nhttp:\n  listen: 0.0.0.0:80\n", nil, "beyond loopback"},
		"address without port":  {secret + "http:\n  listen: localhost\n", nil, "is not host:port"},
		"half of TLS":           {secret + "http:\n  tls:\n    cert: x\n", nil, "both cert and key"},
		"open NATS":             {secret + "nats:\n  listen: 0.0.0.0:4222\n", nil, "set nats.user and nats.password"},
		"open cluster":          {secret + "cluster:\n  listen: 0.0.0.0:6222\n  node: a\n", nil, "set cluster.user and cluster.password"},
		"nameless node":         {secret + "cluster:\n  listen: 127.0.0.1:6222\n", nil, "needs cluster.node"},
		"replicas alone":        {secret + "queues:\n  replicas: 3\n", nil, "queues.replicas needs a cluster"},
		"cluster of one":        {secret + "cluster:\n  listen: 127.0.0.1:6222\n  node: a\n", nil, "cluster.listen needs cluster.peers"},
		"cluster of itself":     {secret + "cluster: { listen: '127.0.0.1:6222', node: a, peers: ['127.0.0.1:6222', 'localhost:6222'] }\n", nil, "cluster.peers has only this node, which would wait for another one forever; add"},
		"peer's port 0":         {secret + "cluster: { listen: '127.0.0.1:6222', node: a, peers: ['b:0'] }\n", nil, `"b:0": "0" is not a port from 1 to 65535`},
		"peer's port too large": {secret + "cluster: { listen: '127.0.0.1:6222', node: a, peers: ['b:99999'] }\n", nil, "is not a port"},
		"peer's port a name":    {secret + "cluster: { listen: '127.0.0.1:6222', node: a, peers: ['b:http'] }\n", nil, "is not a port"},
		"peer without host":     {secret + "cluster: { listen: '127.0.0.1:6222', node: a, peers: [':6222'] }\n", nil, "is not host:port"},
		"peer with scheme":      {secret + "cluster: { listen: '127.0.0.1:6222', node: a, peers: ['nats://b:6222'] }\n", nil, "is not host:port"},
		"transient, all":        {secret + "queues: { transient: [''] }\n", nil, "it matches every name"},
		"transient, any":        {secret + "queues: { transient: ['.*'] }\n", nil, "it matches every name"},
		"age of 1ms":            {secret + "history: { policies: [ { name: a, match: /topic/a, max_age: 1ms } ] }\n", nil, "history.policies, entry 1.max_age 1ms is too short"},
		"age of queues":         {secret + "queues: { max_age: 50ms }\n", nil, "queues.max_age 50ms is too short"},
		"durables":              {secret + "history: { durable_idle: 50ms }\n", nil, "history.durable_idle 50ms is too short"},
		"NATS over two ways":    {secret + "nats: { url: 'nats://a:4222,ws://b' }\n", nil, "nats.url has servers over WebSockets and others"},
		"claim without name":    {secret + "    principal_claim: ' '\n", nil, "auth.jwt.principal_claim \" \" is blank"},
		"claim of nothing":      {secret + "    principal_claim: ''\n", nil, "auth.jwt.principal_claim is empty; name a claim"},
		"audience of nothing":   {secret + "    audience: [a, '']\n", nil, "auth.jwt.audience, entry 2 is empty; take it out"},
		"audience of none":      {secret + "    audience: [a, ' ']\n", nil, "auth.jwt.audience, entry 2 \" \" is blank"},
		"issuer with a space":   {secret + "    issuer: 'a '\n", nil, "auth.jwt.issuer \"a \" begins or ends with a space"},
		"webhooks, one match":   {secret + "app: { webhooks: [ { name: a, match: /app/a, url: 'http://a' }, { name: b, match: /app/a, url: 'http://b' } ] }\n", nil, "have the same match"},
		"webhook's deadline":    {secret + "app: { webhooks: [ { name: a, match: /app/a, url: 'http://a', timeout: 9s, deadline: 3s } ] }\n", nil, "deadline 3s is shorter than timeout 9s"},
		"NATS over HTTP":        {secret + "nats: { url: 'nats://a:4222, http://b' }\n", nil, "nats.url begins an entry with http://; use nats, tls, ws or wss"},
		"NATS nowhere":          {secret + "nats: { url: 'nats://a:4222,' }\n", nil, "nats.url has an entry that is no server"},
		"NATS at port 0":        {secret + "nats: { url: 'a:0' }\n", nil, "nats.url: \"0\" is not a port"},
		"ACME without domains":  {secret + "acme: { http_listen: '127.0.0.1:80' }\n", nil, "acme.http_listen needs acme.domains"},
		"NATS token alone":      {secret + "nats: { token: tokenoftokens }\n", nil, "nats.token is for an external server"},
		"NATS CA alone":         {secret + "nats: { ca: ca.pem }\n", nil, "nats.ca is for an external server"},
		"NATS user alone":       {secret + "nats: { user: a, password: b }\n", nil, "need nats.url or nats.listen"},
		"NATS password alone":   {secret + "nats: { url: 'nats://a', password: b }\n", nil, "go together"},
		"NATS user, no secret":  {secret + "nats: { listen: '127.0.0.1:1', user: b }\n", nil, "go together"},
		"part of a number":      {secret + "limits: { headers: 1.5 }\n", nil, "1.5 is not a whole number"},
		"part, in a list":       {secret + "queues: { policies: [ { match: /queue/a, max_messages: 0.5 } ] }\n", nil, "0.5 is not a whole number"},
		"switch as number":      {secret + "limits: { headers: true }\n", nil, "it cannot be true"},
		"number as switch":      {secret + "http: { compression: 2 }\n", nil, "2 is neither true nor false"},
		"empty number":          {secret, []string{"STOMPBOX_LIMITS_HEADERS="}, "the variable STOMPBOX_LIMITS_HEADERS is empty"},
		"empty switch":          {secret, []string{"STOMPBOX_HTTP_COMPRESSION= "}, "the variable STOMPBOX_HTTP_COMPRESSION is empty"},
		"empty time":            {secret, []string{"STOMPBOX_DRAIN_WINDOW="}, "the variable STOMPBOX_DRAIN_WINDOW is empty"},
		"second document":       {secret + "---\nlog: { level: debug }\n", nil, "begins a second document"},
		"capitals":              {secret + "http: { listen: '127.0.0.1:1' }\nHTTP: { listen: '127.0.0.1:2' }\n", nil, "stompbox.yaml:5: http is there twice, also in line 4"},
		"capitals below":        {secret + "http: { listen: '127.0.0.1:1', Listen: '127.0.0.1:2' }\n", nil, "http.listen is there twice"},
		"key with dots, too":    {secret + "http.listen: '127.0.0.1:1'\nhttp: { listen: '127.0.0.1:2' }\n", nil, "http.listen is there twice"},
		"sync too often":        {secret + "data: { sync: 1ns }\n", nil, "data.sync \"1ns\" is too short"},
		"JWKS too often":        {secret + "    jwks_refresh: 1ms\n", nil, "auth.jwt.jwks_refresh 1ms is too short"},
		"level with a number":   {secret + "log: { level: INFO+3 }\n", nil, "is not debug, info, warn or error"},
		"prefetch":              {secret + "queues: { prefetch: 20, max_prefetch: 10 }\n", nil, "queues.prefetch 20 is more than queues.max_prefetch 10"},
		"host with scheme":      {secret + "metrics: { allowed_hosts: ['http://x'] }\n", nil, "is not the name of a host"},
		"host with port":        {secret + "admin: { allowed_hosts: ['x:8080'] }\n", nil, "is not the name of a host"},
		"cookie":                {secret + "events: { cookie: 'a b;' }\n", nil, "cannot be the name of a cookie"},
		"client of SockJS":      {secret + "sockjs: { client_url: 'sockjs.js' }\n", nil, "sockjs.client_url"},
		"window of 1ms":         {secret + "queues: { dedup_window: 1ms }\n", nil, "queues.dedup_window 1ms is too short"},
		"transient":             {secret + "queues:\n  transient: ['(']\n", nil, "queues.transient"},
		"queue policy":          {secret + "queues:\n  policies:\n    - { match: 'x' }\n", nil, "queues.policies, entry 1"},
		"sync":                  {secret + "data:\n  sync: often\n", nil, "neither always nor a time"},
		"unknown role":          {"auth:\n  logins:\n    - login: x\n      role: boss\n", nil, `role "boss"`},
		"role of two names":     {"auth:\n  roles: { Boss: {}, BOSS: {} }\n  logins:\n    - login: x\n      role: boss\n", nil, `role "boss", which auth.roles does not define`},
		"unknown key of a role": {secret + "  roles: { Boss: { sned: [] } }\n", nil, `unknown key "auth.roles.Boss.sned"`},
		"role that is a list":   {secret + "  roles: { Boss: [\"/topic/a\", \"/topic/b\"] }\n", nil, "auth.roles[Boss]"},
		"roles that are a list": {secret + "  roles: [Boss, Staff]\n", nil, "auth.roles"},
		"roles in a variable":   {secret, []string{"STOMPBOX_AUTH_ROLES=boss"}, "auth.roles"},
		"key twice":             {secret + "auth: {}\n", nil, "already defined"},
		"nameless webhook":      {secret + "app:\n  webhooks:\n    - { match: /app/x }\n", nil, "app.webhooks, entry 1: it needs a name"},
		"webhook of a topic":    {secret + "app:\n  webhooks:\n    - { name: x, match: /topic/x }\n", nil, "not a pattern of /app destinations"},
		"two webhooks":          {secret + "app:\n  webhooks:\n    - { name: x, match: /app/x }\n    - { name: x, match: /app/y }\n", nil, `two are called "x"`},
		"SockJS transport":      {secret + "sockjs:\n  transports: [websocket, flash]\n", nil, `sockjs.transports: there is no "flash"; use websocket, xhr-streaming`},
		"SockJS sessions":       {secret + "sockjs:\n  max_pending: 0\n", nil, "sockjs.max_pending cannot be 0; leave it out for the default of 4096"},
		"log level":             {secret + "log:\n  level: loud\n", nil, `log.level "loud"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.environ == nil {
				tt.environ = []string{}
			}
			_, err := config.Load(config.Source{File: write(t, tt.file), Environ: tt.environ})
			require.ErrorContains(t, err, tt.says)
		})
	}
	_, err := config.Load(config.Source{File: "/nowhere.yaml", Environ: []string{}})
	require.ErrorContains(t, err, "cannot read /nowhere.yaml")
}

// TestTheExampleIsComplete: every key is in the example, and the example loads.
func TestTheExampleIsComplete(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{File: "../../stompbox.example.yaml", Environ: []string{}})
	require.NoError(t, err)
	require.NotEmpty(t, c.Auth.Roles)
	text, err := os.ReadFile("../../stompbox.example.yaml")
	require.NoError(t, err)
	for _, key := range config.Keys() {
		require.Contains(t, string(text), key, "the example has to explain every key")
	}
}
