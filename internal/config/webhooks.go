package config

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/webhook"
)

// OpenWebhooks has the webhooks of the configuration answer requests of b.
func (c *Config) OpenWebhooks(b *broker.Broker, log *slog.Logger) ([]*webhook.Webhook, error) {
	var all []*webhook.Webhook
	for _, w := range c.App.Webhooks {
		hook, err := w.open(b, log, c.Dev)
		if err != nil {
			return nil, fmt.Errorf("configuration: app.webhooks: %w", err)
		}
		if err := b.Handle(w.Match, hook.Handle); err != nil {
			return nil, fmt.Errorf("configuration: app.webhooks: %w", err)
		}
		all = append(all, hook)
	}
	return all, nil
}

// CheckWebhooks says what OpenWebhooks would find wrong: their URLs, permissions and
// secrets, some of which are in files.
func (c *Config) CheckWebhooks() error {
	for _, w := range c.App.Webhooks {
		if _, err := w.open(nil, nil, c.Dev); err != nil {
			return fmt.Errorf("configuration: app.webhooks: %w", err)
		}
	}
	return nil
}

func (w Webhook) open(b *broker.Broker, log *slog.Logger, dev bool) (*webhook.Webhook, error) {
	secret, err := readHookSecret(w.Secret, w.SecretFile, dev)
	if err != nil {
		return nil, fmt.Errorf("webhook %q: %w", w.Name, err)
	}
	previous, err := readHookSecret(w.Previous.Secret, w.Previous.SecretFile, dev)
	if err != nil {
		return nil, fmt.Errorf("webhook %q: previous: %w", w.Name, err)
	}
	return webhook.New(b, webhook.Options{
		Name: w.Name, URL: w.URL, Secret: secret, PreviousSecret: previous, Grants: auth.Grants{Send: w.Send},
		Timeout: w.Timeout, Deadline: w.Deadline, MaxInFlight: w.InFlight, Logger: log,
	})
}

func readHookSecret(secret, file string, dev bool) ([]byte, error) {
	text, err := readSecret(secret, file, dev)
	if err != nil {
		return nil, err
	}
	return webhook.ParseSecret(text)
}

// checkWebhooks says what is wrong with webhooks as they are written.
func (c *Config) checkWebhooks(problem func(string, ...any)) {
	names := make(map[string]bool)
	for i, w := range c.App.Webhooks {
		_, bad := destination.ParsePattern(w.Match)
		switch {
		case w.Name == "":
			problem("app.webhooks, entry %d: it needs a name, for logs and metrics", i+1)
		case names[w.Name]:
			problem("app.webhooks: two are called %q", w.Name)
		case !strings.HasPrefix(w.Match, "/app/") || bad != nil:
			problem("app.webhooks: webhook %q: match %q is not a pattern of /app destinations, such as /app/orders.**", w.Name, w.Match)
		case w.Timeout < 0 || w.Deadline < 0 || w.InFlight < 0:
			problem("app.webhooks: webhook %q: timeout, deadline and in_flight cannot be negative", w.Name)
		}
		names[w.Name] = true
	}
}
