package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatACMENeedsIsNamed(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"acme: { domains: [a.example] }":                                                                                 "acme.accept_terms: read the terms",
		"acme: { domains: [127.0.0.1], accept_terms: true }":                                                             `"127.0.0.1" is an address`,
		"acme: { domains: ['*.example'], accept_terms: true }":                                                           "is not a domain",
		"acme: { domains: [a.example], accept_terms: true, directory: 'http://a.example/' }":                             "is not an https URL",
		"acme: { domains: [a.example], accept_terms: true, listeners: [htp] }":                                           `there is no "htp"`,
		"acme: { domains: [a.example], accept_terms: true, listeners: [stomp] }":                                         "a way for the authority",
		"acme: { domains: [a.example], accept_terms: true, http_listen: nowhere }":                                       "acme.http_listen \"nowhere\" is not host:port",
		"acme: { domains: [a.example], accept_terms: true }\nhttp: { tls: { cert: a, key: b } }":                         "leave out one of them",
		"stomp: { client_tls: { required: true } }":                                                                      "stomp.client_tls needs ca",
		"stomp: { client_tls: { ca: a } }":                                                                               "stomp.client_tls needs stomp.tls",
		"stomp: { client_tls: { name: o } }":                                                                             `"o" is not cn, dns, email or uri`,
		"acme: { domains: [a.example], accept_terms: true, listeners: [http, stomp] }\nstomp: { client_tls: { ca: a } }": "",
	} {
		_, err := Load(Source{File: fileWith(t, secret+text+"\n"), Environ: []string{}})
		if says == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, says, text)
	}
	_, err := Load(Source{File: fileWith(t, "auth: { logins: [ { login: a, certificate: true } ] }\n"), Environ: []string{}})
	require.ErrorContains(t, err, "needs stomp.client_tls.ca")
}
