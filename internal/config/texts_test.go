package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

// textKeys are the keys of texts and of lists of them, with the value of a variable that has a text
// in it.
func textKeys(v reflect.Value, path string) (all []string) {
	for i := range v.NumField() {
		key := strings.TrimPrefix(path+"."+v.Type().Field(i).Tag.Get("mapstructure"), ".")
		switch f := v.Field(i); {
		case f.Kind() == reflect.Struct:
			all = append(all, textKeys(f, key)...)
		case f.Kind() == reflect.String, f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.String:
			all = append(all, key)
		}
	}
	return all
}

// TestNoTextHasControlCharacters: not a name, a path, an address, a pattern or a password.
func TestNoTextHasControlCharacters(t *testing.T) {
	t.Parallel()
	keys := textKeys(reflect.ValueOf(config.Config{}), "")
	require.Greater(t, len(keys), 60)
	for _, key := range keys {
		if key == "auth.jwt.secret" {
			continue // its bytes are a key
		}
		variable := "STOMPBOX_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		for value, says := range map[string]string{"a\nb": "control character", "a\x00b": "control character", "a\u0085b": "control character", "a\xffb": "is not UTF-8"} {
			if strings.HasSuffix(key, "password") || strings.HasSuffix(key, "token") {
				says = "control character"
				if value == "a\xffb" {
					continue
				}
			}
			_, err := config.Load(config.Source{File: write(t, secretAuth), Environ: []string{variable + "=" + value}})
			require.ErrorContains(t, err, says, "%s %q", key, value)
			require.Regexp(t, `(?m)`+regexpOf(key)+`.*`+says, err.Error())
			require.NotContains(t, err.Error(), "a\nb")
		}
	}
}

func regexpOf(key string) string { return strings.ReplaceAll(key, ".", `\.`) }

// TestBlankTextsAreRefused: a folder of spaces would be made, and a node would be called nothing.
func TestBlankTextsAreRefused(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"data_dir: '  '": `data_dir "  " is blank; give it a value, or leave it out`,
		"acme: { domains: [a.example], accept_terms: true, cache_dir: ' ' }":               `acme.cache_dir " " is blank`,
		"cluster: { node: \"a\\nb\" }":                                                     `cluster.node "a\nb" has a line break or another control character; write it in one line, without them`,
		"cluster: { name: 'a ' }":                                                          `cluster.name "a " begins or ends with a space`,
		"data_dir: ' data'":                                                                `data_dir " data" begins or ends with a space`,
		"nats: { url: \"nats://a:pass\\tword@b:4222\" }":                                   "nats.url has a line break or another control character",
		"nats: { url: 'nats://a:4222', user: a, password: \"first\\nsecond word\" }":       "nats.password has a line break or another control character",
		"http: { trusted_proxies: [10.0.0.1, ' '] }":                                       `http.trusted_proxies, entry 2 " " is blank`,
		"acme: { domains: [a.example, ''], accept_terms: true }":                           "acme.domains, entry 2 is empty; take it out",
		"queues: { policies: [ { match: \"/queue/a\\tb\" } ] }":                            `queues.policies, entry 1.match "/queue/a\tb" has a line break`,
		"history: { policies: [ { name: 'a ', match: /topic/a } ] }":                       `history.policies, entry 1.name "a " begins or ends with a space`,
		"app: { webhooks: [ { name: ' ', match: /app/a, url: 'http://127.0.0.1/' } ] }":    `app.webhooks, entry 1.name " " is blank`,
		"acme: { domains: [10.0.0.1], accept_terms: true }":                                `acme.domains: "10.0.0.1" is an address; an authority gives certificates for domains, such as stomp.example`,
		"acme: { domains: ['fd00::1'], accept_terms: true }":                               `acme.domains: "fd00::1" is an address`,
		"acme: { domains: [a..example], accept_terms: true }":                              `acme.domains: "a..example" is not a domain`,
		"acme: { domains: [-a.example], accept_terms: true }":                              `acme.domains: "-a.example" is not a domain`,
		"acme: { domains: [a_b.example], accept_terms: true }":                             `acme.domains: "a_b.example" is not a domain`,
		"acme: { domains: [a.example], accept_terms: true, email: nobody }":                `acme.email "nobody" is not the address of a mailbox, such as admin@stomp.example`,
		"acme: { domains: [a.example], accept_terms: true, email: 'A <a@b.example>' }":     `acme.email "A <a@b.example>" is not`,
		"acme: { domains: [" + strings.Repeat("a", 64) + ".example], accept_terms: true }": "is not a domain",
	} {
		_, err := config.Load(config.Source{File: write(t, secretAuth+text), Environ: []string{}})
		require.ErrorContains(t, err, says, text)
		require.NotContains(t, err.Error(), "second word")
	}
	_, err := config.Load(config.Source{File: write(t, "auth: { logins: [ { login: \"a\\nb\" } ], roles: { \"a\\nb\": {}, boss: { send: [ \"/topic/a\\nb\" ] } } }"), Environ: []string{}})
	require.ErrorContains(t, err, `auth.logins, entry 1.login "a\nb" has a line break`)
	require.ErrorContains(t, err, `auth.roles has an entry with the name "a\nb"; give it another one`)
	require.ErrorContains(t, err, `auth.roles[boss].send, entry 1 "/topic/a\nb" has a line break`)
	c, err := config.Load(config.Source{File: write(t, secretAuth+`
data_dir: "/srv/my data/stompbox"
cluster: { node: "Knoten 1 in Köln" }
nats: { url: 'nats://a:4222', user: a, password: ' begins with a space, and is long' }
acme: { domains: [STOMP.example, xn--bcher-kva.example, bücher.example, stomp, 1.example], accept_terms: true, email: admin@a.example }
`), Environ: []string{}})
	require.NoError(t, err)
	require.Equal(t, "Knoten 1 in Köln", c.Cluster.Node)
}

// TestAnExpressionMayHaveCommas: those in brackets belong to it, as a text and in a variable.
func TestAnExpressionMayHaveCommas(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`^tmp-[0-9]{1,3}$`:         {`^tmp-[0-9]{1,3}$`},
		`^a{1,2}$, ^b[,;]$`:        {`^a{1,2}$`, `^b[,;]$`},
		`^(a,b|c)$,^d$`:            {`^(a,b|c)$`, `^d$`},
		`^a\,b$`:                   {`^a\,b$`},
		`^[]],b$`:                  {`^[]]`, `b$`},
		`^[^],]$,^[\]{,]$,^\[x$,y`: {`^[^],]$`, `^[\]{,]$`, `^\[x$`, `y`},
		`^[[:alpha:],]x$,y`:        {`^[[:alpha:],]x$`, `y`},
		`^x$`:                      {`^x$`},
	} {
		c, err := config.Load(config.Source{File: write(t, secretAuth), Environ: []string{"STOMPBOX_QUEUES_TRANSIENT=" + text}})
		require.NoError(t, err, text)
		require.Equal(t, want, []string(c.Queues.Transient), text)
		c, err = config.Load(config.Source{File: write(t, secretAuth+"queues: { transient: '"+text+"' }"), Environ: []string{}})
		require.NoError(t, err, text)
		require.Equal(t, want, []string(c.Queues.Transient), text)
	}
	c, err := config.Load(config.Source{File: write(t, secretAuth+"queues: { transient: ['^a,b$', '^c{1,2}$'] }"), Environ: []string{}})
	require.NoError(t, err)
	require.Equal(t, []string{"^a,b$", "^c{1,2}$"}, []string(c.Queues.Transient))
	_, err = config.Load(config.Source{File: write(t, secretAuth), Environ: []string{"STOMPBOX_QUEUES_TRANSIENT=^a$,"}})
	require.ErrorContains(t, err, "queues.transient, entry 2 is empty; take it out")
}
