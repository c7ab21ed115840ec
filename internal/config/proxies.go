package config

import (
	"errors"
	"fmt"

	"github.com/stompbox/stompbox/internal/clientaddr"
)

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
