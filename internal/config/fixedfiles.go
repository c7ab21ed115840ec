package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
)

// FixedFiles are the sums of what files hold that are read at the start alone, by key. One that
// cannot be read has the zero sum.
type FixedFiles map[string][sha256.Size]byte

// SumFixedFiles reads them.
func SumFixedFiles(c *Config) FixedFiles {
	sums := make(FixedFiles)
	for key, path := range fixedFiles(c) {
		if path == "" {
			continue
		}
		if text, err := os.ReadFile(path); err == nil {
			sums[key] = sha256.Sum256(text)
		} else {
			sums[key] = [sha256.Size]byte{}
		}
	}
	return sums
}

// ChangedSince lists the keys whose files hold something else than before.
func (f FixedFiles) ChangedSince(before FixedFiles) (changed []KeyReason) {
	for key, sum := range f {
		if was, known := before[key]; known && was != sum {
			changed = append(changed, KeyReason{key, "what the file holds is read at the start"})
		}
	}
	slices.SortFunc(changed, func(a, b KeyReason) int { return strings.Compare(a.Key, b.Key) })
	return changed
}

func fixedFiles(c *Config) map[string]string {
	files := map[string]string{
		"nats.credentials": c.NATS.Credentials, "nats.token_file": c.NATS.TokenFile, "nats.password_file": c.NATS.PasswordFile, "nats.ca": c.NATS.CA,
		"cluster.password_file": c.Cluster.PasswordFile, "cluster.tls.ca": c.Cluster.TLS.CA,
		"admin.token_file": c.Admin.TokenFile, "metrics.token_file": c.Metrics.TokenFile, "acme.ca": c.ACME.CA,
	}
	for i, w := range c.App.Webhooks {
		files[fmt.Sprintf("app.webhooks, entry %d.secret_file", i+1)] = w.SecretFile
		files[fmt.Sprintf("app.webhooks, entry %d.previous.secret_file", i+1)] = w.Previous.SecretFile
	}
	return files
}
