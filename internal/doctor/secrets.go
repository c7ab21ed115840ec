package doctor

import (
	"bytes"
	"context"
	"io"
	"os"
	"runtime"
)

// secrets checks the files that hold secrets.
func checkSecrets(_ context.Context, e *examination) []Result {
	files := []struct{ key, path string }{
		{"auth.jwt.secret_file", e.c.Auth.JWT.SecretFile}, {"auth.jwt.key_file", e.c.Auth.JWT.KeyFile}, {"nats.credentials", e.c.NATS.Credentials},
		{"http.tls.key", e.c.HTTP.TLS.Key}, {"stomp.tls.key", e.c.STOMP.TLS.Key}, {"nats.tls.key", e.c.NATS.TLS.Key}, {"cluster.tls.key", e.c.Cluster.TLS.Key},
		{"nats.password_file", e.c.NATS.PasswordFile}, {"nats.token_file", e.c.NATS.TokenFile}, {"cluster.password_file", e.c.Cluster.PasswordFile},
		{"metrics.token_file", e.c.Metrics.TokenFile}, {"admin.token_file", e.c.Admin.TokenFile}, {"admin.tls.key", e.c.Admin.TLS.Key},
	}
	for _, key := range e.c.Auth.JWT.Keys {
		files = append(files, struct{ key, path string }{"auth.jwt.keys." + key.ID, key.SecretFile})
	}
	for _, login := range e.c.Auth.Logins {
		files = append(files, struct{ key, path string }{"auth.logins." + login.Login, login.HashFile})
	}
	for _, hook := range e.c.App.Webhooks {
		files = append(files, struct{ key, path string }{"app.webhooks." + hook.Name, hook.SecretFile})
	}
	var all []Result
	for _, file := range files {
		if file.path != "" {
			all = append(all, secretFile(file.key, file.path)...)
		}
	}
	return all
}

// secretFile reports a file that cannot be read, or that too many can read.
func secretFile(key, path string) []Result {
	f, err := os.Open(path)
	if err != nil {
		return []Result{fail(key, "give it to the user that runs serve: chown USER "+path, "%v", err)}
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err == nil && isPublicKey(f) {
		return []Result{ok(key, "%s, a public key, can be read", path)}
	}
	if err != nil {
		return []Result{fail(key, "", "%v", err)}
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 {
		return []Result{warn(key, "chmod o-rwx "+path, "%s, a secret, can be read by all users of this machine", path)}
	}
	return []Result{ok(key, "%s can be read", path)}
}

// isPublicKey reports a PEM file of a key that everybody may know.
func isPublicKey(f io.Reader) bool {
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return err == nil && bytes.Contains(text, []byte("-----BEGIN ")) && !bytes.Contains(text, []byte("PRIVATE KEY-----"))
}
