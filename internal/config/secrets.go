package config

import "fmt"

// secretSetting is a setting that holds a secret, next to one that names a file with it.
type secretSetting struct{ key, value, file string }

// peerSecrets are those that are shown to NATS and to other nodes.
func peerSecrets(c *Config) []secretSetting {
	return []secretSetting{
		{"nats.password", c.NATS.Password, c.NATS.PasswordFile},
		{"nats.token", c.NATS.Token, c.NATS.TokenFile},
		{"cluster.password", c.Cluster.Password, c.Cluster.PasswordFile},
	}
}

func (s secretSetting) isSet() bool { return s.value != "" || s.file != "" }

func (s secretSetting) read(c *Config) (string, error) {
	if !s.isSet() {
		return "", nil
	}
	text, err := readShownSecret(s.value, s.file, c.Dev)
	if err == nil && mustBeStrong(c, s.key) {
		err = checkStrong(text)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.key, err)
	}
	return text, nil
}

// PeerSecrets are what this node shows to NATS and to other nodes.
type PeerSecrets struct{ NATSPassword, NATSToken, ClusterPassword string }

// ReadPeerSecrets reads them, from files where those are named.
func (c *Config) ReadPeerSecrets() (p PeerSecrets, err error) {
	for i, to := range []*string{&p.NATSPassword, &p.NATSToken, &p.ClusterPassword} {
		if *to, err = peerSecrets(c)[i].read(c); err != nil {
			return p, fmt.Errorf("configuration: %w", err)
		}
	}
	return p, nil
}

// checkSecrets refuses secrets that are given twice.
func checkSecrets(c *Config, problem func(string, ...any)) {
	all := append(peerSecrets(c),
		secretSetting{"auth.jwt.secret", c.Auth.JWT.Secret, c.Auth.JWT.SecretFile},
		secretSetting{"metrics.token", c.Metrics.Token, c.Metrics.TokenFile},
		secretSetting{"admin.token", c.Admin.Token, c.Admin.TokenFile})
	for _, l := range c.Auth.Logins {
		all = append(all, secretSetting{"auth.logins: passcode_hash", l.PasscodeHash, l.HashFile})
	}
	for _, k := range c.Auth.JWT.Keys {
		all = append(all, secretSetting{"auth.jwt.keys: secret", k.Secret, k.SecretFile})
	}
	for _, w := range c.App.Webhooks {
		all = append(all, secretSetting{"app.webhooks: secret", w.Secret, w.SecretFile}, secretSetting{"app.webhooks: previous.secret", w.Previous.Secret, w.Previous.SecretFile})
	}
	for _, s := range all {
		if s.value != "" && s.file != "" {
			problem("%s is set, and %s_file too; leave out one of them", s.key, s.key)
		}
	}
}
