package config

import (
	"fmt"
	"strings"

	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/webhook"
)

// Secrets reads the secrets that sign: the one in use, and the one before it or nothing.
// Development mode takes those that everybody knows.
func (w Webhook) Secrets(dev bool) (secret, previous []byte, err error) {
	if secret, err = readHookSecret(w.Secret, w.SecretFile, dev); err != nil {
		return nil, nil, err
	}
	if w.Previous.Secret == "" && w.Previous.SecretFile == "" {
		return secret, nil, nil
	}
	if previous, err = readHookSecret(w.Previous.Secret, w.Previous.SecretFile, dev); err != nil {
		return nil, nil, fmt.Errorf("previous: %w", err)
	}
	return secret, previous, nil
}

func readHookSecret(secret, file string, dev bool) ([]byte, error) {
	text, err := readSecret(secret, file, dev)
	if err != nil {
		return nil, err
	}
	return webhook.ParseSecret(text)
}

// checkWebhooks says what is wrong with webhooks as they are written.
func checkWebhooks(c *Config, problem func(string, ...any)) {
	names, matches := make(map[string]bool), make(map[string]string)
	for i, w := range c.App.Webhooks {
		_, err := destination.ParsePattern(w.Match)
		switch {
		case w.Name == "":
			problem("app.webhooks, entry %d: it needs a name, for logs and metrics", i+1)
		case names[w.Name]:
			problem("app.webhooks: two are called %q", w.Name)
		case !strings.HasPrefix(w.Match, "/app/") || err != nil:
			problem("app.webhooks: webhook %q: match %q is not a pattern of /app destinations, such as /app/orders.**", w.Name, w.Match)
		case w.Timeout < 0 || w.Deadline < 0 || w.InFlight < 0:
			problem("app.webhooks: webhook %q: timeout, deadline and in_flight cannot be negative", w.Name)
		case matches[w.Match] != "":
			problem("app.webhooks: webhooks %q and %q have the same match %q", matches[w.Match], w.Name, w.Match)
		case w.Deadline > 0 && w.Deadline < w.Timeout:
			problem("app.webhooks: webhook %q: deadline %s is shorter than timeout %s, which is of one try", w.Name, w.Deadline, w.Timeout)
		}
		names[w.Name], matches[w.Match] = true, w.Name
	}
}
