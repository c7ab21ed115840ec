package config

// checkContradictions refuses settings that would count for nothing, or that cannot be kept.
func checkContradictions(c *Config, problem func(string, ...any)) {
	j := c.Auth.JWT
	if j.Algorithm != "" && j.Secret == "" && j.SecretFile == "" && j.KeyFile == "" {
		problem("auth.jwt.algorithm %q is that of auth.jwt.secret, secret_file or key_file, and none of them is set; leave it out: each key of jwks_url and of auth.jwt.keys has its own", j.Algorithm)
	}
	if j.JWKSAllowHTTP && j.JWKSURL == "" {
		problem("auth.jwt.jwks_allow_http is for auth.jwt.jwks_url, which is not set; leave it out")
	}
	if c.NATS.URL != "" {
		checkExternalStore(c, problem)
	} else if c.Data.MaxBytes > 0 {
		checkRoom(c, problem)
	}
}

// checkExternalStore refuses what is for the embedded server's store, where there is another one.
func checkExternalStore(c *Config, problem func(string, ...any)) {
	if standard := defaults()["data.sync"]; c.Data.Sync != standard {
		problem("data.sync %q is for the embedded server, and with nats.url there is none; leave it out, and set sync_interval in the jetstream section of the NATS server", c.Data.Sync)
	}
	if c.Data.MaxBytes > 0 {
		problem("data.max_bytes %s is for the embedded server, and with nats.url there is none; leave it out, and set max_file_store in the jetstream section of the NATS server", c.Data.MaxBytes)
	}
}

// checkRoom refuses queues and histories for which the store has no room: JetStream reserves the
// max_bytes of each, and messages of those for which it cannot would all be refused.
func checkRoom(c *Config, problem func(string, ...any)) {
	const why = "is more than data.max_bytes %s, so no message of it could be stored; lower it, or raise data.max_bytes"
	room := c.Data.MaxBytes
	if c.Queues.MaxBytes > room {
		problem("queues.max_bytes %s "+why, c.Queues.MaxBytes, room)
	}
	for i, p := range c.Queues.Policies {
		if p.MaxBytes > room && p.MaxBytes != c.Queues.MaxBytes { // else it is that of all queues
			problem("queues.policies, entry %d.max_bytes %s "+why, i+1, p.MaxBytes, room)
		}
	}
	var sum Size
	for i, p := range c.History.Policies {
		if p.MaxBytes > room {
			problem("history.policies, entry %d.max_bytes %s "+why, i+1, p.MaxBytes, room)
			return
		}
		sum += min(p.MaxBytes, maxNumber)
	}
	// Nodes of a cluster may share them.
	if sum > room && c.Cluster.Listen == "" {
		problem("history.policies have max_bytes of %s together, which is more than data.max_bytes %s, so the last ones could not store a message; lower them, or raise data.max_bytes", sum, room)
	}
}
