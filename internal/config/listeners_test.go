package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/config"
)

// TestListenersThatShareAPortAreNamed: the second one could not be opened.
func TestListenersThatShareAPortAreNamed(t *testing.T) {
	t.Parallel()
	const monitored = "metrics: { anonymous: true, listen: '"
	for text, says := range map[string]string{
		"http: { listen: '127.0.0.1:7001' }\nstomp: { listen: '127.0.0.1:7001' }": `stomp.listen "127.0.0.1:7001" and http.listen "127.0.0.1:7001" are the same port`,
		"stomp: { listen: ':8080' }":                                                                                    "http.listen",
		"stomp: { listen: '0.0.0.0:8080' }":                                                                             "http.listen",
		"stomp: { listen: '[::]:8080' }":                                                                                "http.listen",
		"stomp: { listen: 'localhost:8080' }":                                                                           "http.listen",
		"http: { listen: '[::1]:7001' }\nstomp: { listen: 'LOCALHOST:7001' }":                                           "http.listen",
		"http: { listen: ':http' }\nstomp: { listen: '127.0.0.1:80' }":                                                  "http.listen",
		monitored + "127.0.0.1:8080' }":                                                                                 "metrics.listen",
		"admin: { listen: '127.0.0.1:8080' }":                                                                           "admin.listen",
		monitored + "127.0.0.1:7001' }\nadmin: { listen: '127.0.0.1:7001' }":                                            "admin.listen",
		"acme: { domains: [a.example], accept_terms: true, http_listen: ':8080' }":                                      "acme.http_listen",
		"nats: { listen: '127.0.0.1:8080' }":                                                                            "nats.listen",
		"cluster: { listen: '127.0.0.1:8080', node: a, peers: ['127.0.0.1:7002'] }":                                     "cluster.listen",
		"nats: { listen: '127.0.0.1:7001' }\ncluster: { listen: '127.0.0.1:7001', node: a, peers: ['127.0.0.1:7002'] }": "cluster.listen",
	} {
		_, err := config.Load(config.Source{File: write(t, secretAuth+text+"\n"), Environ: []string{}})
		require.ErrorContains(t, err, "are the same port", text)
		require.ErrorContains(t, err, says, text)
	}
	for _, text := range []string{
		"http: { listen: '127.0.0.1:0' }\nstomp: { listen: '127.0.0.1:0' }",
		"http: { listen: '127.0.0.1:7001' }\nstomp: { listen: '127.0.0.2:7001' }",
		"http: { listen: '127.0.0.1:7001' }\nstomp: { listen: '[::1]:7001' }",
		"http: { listen: ':7001' }\nstomp: { listen: ':7002' }",
		"http: { listen: '' }\nstomp: { listen: ':8080' }",
	} {
		_, err := config.Load(config.Source{File: write(t, secretAuth+text+"\n"), Environ: []string{}})
		require.NoError(t, err, text)
	}
}
