package main

import (
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/tracing"
	"github.com/stompbox/stompbox/relay"
)

// loadToServe reads the configuration of a server, and refuses all that serve cannot start
// with and that can be known without opening a port, a folder or a connection. The error
// has all faults, each with the place where its key was set.
func (c *configFlags) loadToServe() (*config.Config, *config.Locations, error) {
	read, where, faults := config.Read(c.source())
	if read != nil {
		faults = append(faults, preflight(read)...)
	}
	if err := where.Join(faults); err != nil {
		return nil, nil, err
	}
	return read, where, nil
}

// preflight makes the parts of a node that a configuration describes, except for those that
// need more than files, and returns all that is wrong with them. It is for what reading
// the configuration does not see: what is in files, and what the parts refuse.
func preflight(c *config.Config) (faults []error) {
	at := func(key string, err error) {
		for _, err := range joined(err) {
			if key != "" {
				err = fmt.Errorf("%s: %w", key, err)
			}
			faults = append(faults, err)
		}
	}
	_, err := tracing.CheckEnvironment()
	at("", err)
	preflightAuth(c, at)
	for i, w := range c.App.Webhooks {
		_, err := newWebhook(w, nil, nil, c.Dev)
		at(fmt.Sprintf("app.webhooks, entry %d", i+1), err)
	}
	certs := make(certificates)
	for key, t := range certificateFiles(c) {
		if t.Key == "" {
			continue // half of it is a fault of the configuration
		}
		pair, err := t.Pair(key)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		certs[key] = pair
	}
	_, err = newClientCAs(c)
	faults = append(faults, err)
	_, err = c.ACME.LoadCA()
	faults = append(faults, err)
	_, err = c.ReadPeerSecrets()
	faults = append(faults, err)
	_, err = c.Metrics.LoadToken(c.Dev)
	faults = append(faults, err)
	_, err = c.Admin.LoadToken(c.Dev)
	faults = append(faults, err)
	return append(faults, preflightNATS(c, certs)...)
}

// joined takes an error of several apart.
func joined(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func preflightAuth(c *config.Config, at func(key string, err error)) {
	if len(c.Auth.Logins) > 0 {
		logins, err := c.StaticLogins()
		if err == nil {
			err = auth.CheckLogins(logins)
		}
		at("auth.logins", err)
	}
	_, err := c.StaticKeys()
	at("", err)
	if j := c.Auth.JWT; j.JWKSURL != "" {
		at("auth.jwt.jwks_url", auth.CheckKeySetURL(j.JWKSURL, j.JWKSAllowHTTP))
	}
	for name, grants := range c.Auth.Roles {
		_, err := auth.NewPermissions(grants, "user")
		at("auth.roles["+name+"]", err)
	}
	_, err = auth.NewPermissions(c.DefaultGrants(), "user")
	at("auth.default", err)
}

func preflightNATS(c *config.Config, certs certificates) (faults []error) {
	external := c.NATS
	if certs["nats.tls"] == nil {
		external.TLS = config.TLS{}
	}
	if _, err := external.LoadTLS(certs["nats.tls"]); err != nil {
		faults = append(faults, err)
	}
	if file := c.NATS.Credentials; file != "" {
		if _, err := os.ReadFile(file); err != nil {
			faults = append(faults, fmt.Errorf("nats.credentials: %w", err))
		}
	}
	options := relay.Options{Prefix: c.NATS.Prefix}
	if err := options.Check(); err != nil {
		faults = append(faults, fmt.Errorf("nats.prefix: %w", err))
	}
	if c.NATS.URL != "" {
		return faults
	}
	if info, err := os.Stat(c.DataDir); err == nil && !info.IsDir() {
		faults = append(faults, fmt.Errorf("data_dir: %s is not a folder", c.DataDir))
	}
	if c.Cluster.Listen != "" {
		if err := relay.CheckDataDir(c.DataDir); err != nil {
			faults = append(faults, fmt.Errorf("data_dir: %w", err))
		}
	}
	return append(faults, preflightEmbedded(*c, certs)...)
}

// preflightEmbedded checks the embedded server. Addresses that are none and half of what
// TLS needs are faults of the configuration.
func preflightEmbedded(c config.Config, certs certificates) []error {
	for _, address := range []*string{&c.NATS.Listen, &c.Cluster.Listen} {
		if _, _, err := hostPort("", *address); err != nil {
			*address = ""
		}
	}
	if certs["cluster.tls"] == nil || c.Cluster.TLS.CA == "" {
		c.Cluster.TLS = config.PeerTLS{}
	}
	c.Cluster.Peers = slices.DeleteFunc(slices.Clone(c.Cluster.Peers), func(peer string) bool {
		_, _, err := net.SplitHostPort(peer)
		return err != nil
	})
	embedded, err := embeddedOptions(&c, config.PeerSecrets{}, certs)
	if err == nil {
		err = embedded.Check(relay.Options{})
	}
	return joined(err)
}
