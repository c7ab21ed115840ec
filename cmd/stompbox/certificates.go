package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stompbox/stompbox/internal/certfile"
	"github.com/stompbox/stompbox/internal/config"
)

// certificates are those in files, by the keys of their settings.
type certificates map[string]*certfile.Pair

// certificateFiles are the settings of certificates that are in files.
func certificateFiles(c *config.Config) map[string]config.TLS {
	all := map[string]config.TLS{
		"http.tls": c.HTTP.TLS, "stomp.tls": c.STOMP.TLS, "admin.tls": c.Admin.TLS, "nats.tls": c.NATS.TLS,
		"cluster.tls": {Cert: c.Cluster.TLS.Cert, Key: c.Cluster.TLS.Key},
	}
	for key, t := range all {
		if t.Cert == "" {
			delete(all, key)
		}
	}
	return all
}

func newCertificates(c *config.Config) (certificates, error) {
	all := make(certificates)
	for key, t := range certificateFiles(c) {
		pair, err := t.Pair(key)
		if err != nil {
			return nil, err
		}
		all[key] = pair
	}
	return all, nil
}

// load reads the files that a configuration names, and returns what puts them in use.
func (all certificates) load(c *config.Config) (use func(), err error) {
	loaded := make(map[*certfile.Pair]*certfile.Loaded)
	for key, t := range certificateFiles(c) {
		pair := all[key]
		if pair == nil {
			continue // TLS is turned on at the start alone
		}
		if loaded[pair], err = certfile.Load(key, t.Cert, t.Key); err != nil {
			return nil, err
		}
	}
	return func() {
		for pair, l := range loaded {
			pair.Use(l)
		}
	}, nil
}

// untimely says which certificates clients refuse now for their time.
func (all certificates) untimely() (why []string) {
	for _, pair := range all {
		if text := pair.Untimely(time.Now()); text != "" {
			why = append(why, text)
		}
	}
	slices.Sort(why)
	return why
}

// ends says when each certificate ends.
func (all certificates) ends() map[string]time.Time {
	ends := make(map[string]time.Time, len(all))
	for key, pair := range all {
		ends[key] = pair.Certificate().Leaf.NotAfter
	}
	return ends
}

// certificateEnds says when each certificate ends, from files and of ACME.
func certificateEnds(files certificates, issued *issuer) map[string]time.Time {
	ends := files.ends()
	maps.Copy(ends, issued.ends())
	return ends
}

// certificateInterval is how often files of certificates are looked at.
const certificateInterval = 10 * time.Second

// watch has certificates follow their files until ctx is done and wait has returned.
func (all certificates) watch(ctx context.Context, log *slog.Logger) (wait func()) {
	var watching sync.WaitGroup
	for _, pair := range all {
		watching.Go(func() { pair.Watch(ctx, certificateInterval, log) })
	}
	return watching.Wait
}
