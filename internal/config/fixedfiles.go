package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
)

// FileSums are the sums of what files hold, by the key that names the file. One that cannot be read
// has the zero sum.
type FileSums map[string][sha256.Size]byte

// SumFixedFiles reads the files that are read at the start alone.
func SumFixedFiles(c *Config) FileSums { return sumFiles(fixedFiles(c)) }

// SumReloadedFiles reads the files that a reload reads too.
func SumReloadedFiles(c *Config) FileSums { return sumFiles(reloadedFiles(c)) }

func sumFiles(files map[string]string) FileSums {
	sums := make(FileSums)
	for key, path := range files {
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
func (f FileSums) ChangedSince(before FileSums) (changed []string) {
	for key, sum := range f {
		if was, known := before[key]; known && was != sum {
			changed = append(changed, key)
		}
	}
	slices.Sort(changed)
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

func reloadedFiles(c *Config) map[string]string {
	files := map[string]string{
		"auth.jwt.secret_file": c.Auth.JWT.SecretFile, "auth.jwt.key_file": c.Auth.JWT.KeyFile,
		"stomp.client_tls.ca": c.STOMP.ClientTLS.CA, "stomp.client_tls.crl": c.STOMP.ClientTLS.CRL,
		"cluster.tls.cert": c.Cluster.TLS.Cert, "cluster.tls.key": c.Cluster.TLS.Key,
	}
	for table, tls := range map[string]TLS{"http": c.HTTP.TLS, "stomp": c.STOMP.TLS, "admin": c.Admin.TLS, "nats": c.NATS.TLS} {
		files[table+".tls.cert"], files[table+".tls.key"] = tls.Cert, tls.Key
	}
	for i, k := range c.Auth.JWT.Keys {
		files[fmt.Sprintf("auth.jwt.keys, entry %d.secret_file", i+1)] = k.SecretFile
		files[fmt.Sprintf("auth.jwt.keys, entry %d.file", i+1)] = k.File
	}
	for i, l := range c.Auth.Logins {
		files[fmt.Sprintf("auth.logins, entry %d.passcode_hash_file", i+1)] = l.HashFile
	}
	return files
}
