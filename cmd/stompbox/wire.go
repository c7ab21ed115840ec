package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strconv"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/listening"
	"github.com/stompbox/stompbox/internal/logattr"
	"github.com/stompbox/stompbox/internal/memlimit"
	"github.com/stompbox/stompbox/internal/tracing"
	"github.com/stompbox/stompbox/relay"
	"github.com/stompbox/stompbox/webhook"
)

// setUp makes a running node of a configuration, from the relay up to what listens.
func (s *server) setUp(ctx context.Context) error {
	c := s.config()
	for _, why := range config.WithoutEffect(c) {
		s.log.Warn("some settings have no effect", "why", why)
	}
	var err error
	if s.parts, err = newAuthParts(context.WithoutCancel(ctx), c, s.log, authParts{}); err != nil {
		return err
	}
	if s.clientCAs, err = newClientCAs(c); err != nil {
		return err
	}
	s.clients.useClientCAs(s.parts)
	s.auth = auth.NewReplaceable(s.parts.authenticator)
	if s.certs, err = newCertificates(c); err != nil {
		return err
	}
	for _, why := range s.certs.untimely() {
		s.log.Warn("a certificate is not valid now", "why", why)
	}
	if s.issuer, err = newIssuer(c, s.log); err != nil {
		return err
	}
	if s.tracer, err = tracing.FromEnvironment(ctx, version(), c.Cluster.Node, s.log); err != nil {
		return err
	}
	for _, l := range config.Listeners(c) { // before the store is opened, which takes its time
		if err := listening.Try(ctx, l.Key, l.Address); err != nil {
			return err
		}
	}
	if s.relay, err = openRelay(c, s.certs, s.log); err != nil {
		return err
	}
	if limit := s.relay.MaxPayload(); limit < int64(c.Limits.Body) {
		s.log.Warn("messages larger than NATS's max_payload reach only the subscribers of this node; lower limits.body or raise max_payload", "max_payload", limit, "limits.body", int64(c.Limits.Body))
	}
	logOpenFiles(c, s.log)
	s.memory = memlimit.Set()
	options := brokerOptions(c, s.memory)
	options.Authenticator, options.Driver, options.Logger, options.Server = s.auth, s.relay.Driver(), s.log, "stompbox/"+version()
	if s.tracer != nil { // an interface of nil is none
		options.Tracer = s.tracer
	}
	if s.broker, err = broker.New(options); err != nil {
		return err
	}
	if s.webhooks, err = openWebhooks(c, s.broker, s.log); err != nil {
		return err
	}
	s.openTransports()
	s.api = httpapi.New(s.broker, httpapi.Options{Logger: s.log, Reload: s.reloads.reloadForAPI})
	s.gate = newConnectionGate(func() int64 { return s.broker.Stats().Sessions }, s.log)
	s.registry = s.newRegistry()
	return s.listen()
}

// newLogger returns the logger that log.level and log.format describe.
func newLogger(c *config.Config, w io.Writer) *slog.Logger {
	return newLeveledLogger(c, w, new(slog.LevelVar))
}

// newLeveledLogger is newLogger with a level that can be changed.
func newLeveledLogger(c *config.Config, w io.Writer, level *slog.LevelVar) *slog.Logger {
	parsed, _ := c.Log.ParseLevel() // checked by Load
	level.Set(parsed)
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: logattr.Cut}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if c.Log.Format == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	log := slog.New(logattr.Limit(handler))
	if c.Cluster.Node != "" {
		log = log.With("node", c.Cluster.Node)
	}
	return log
}

func openRelay(c *config.Config, certs certificates, log *slog.Logger) (*relay.Relay, error) {
	histories, _ := c.History.Parse() // checked by Load
	secrets, err := c.ReadPeerSecrets()
	if err != nil {
		return nil, err
	}
	options := relay.Options{
		URL: c.NATS.URL, CredentialsFile: c.NATS.Credentials, Token: secrets.NATSToken,
		User: c.NATS.User, Password: secrets.NATSPassword, Prefix: c.NATS.Prefix, Name: c.Cluster.Node,
		Queues:    relay.QueueSettings{Replicas: c.Queues.Replicas, AckWait: c.Queues.AckWait, DedupWindow: c.Queues.DedupWindow, Transient: transientQueues(c)},
		Histories: relay.HistorySettings{Policies: histories, Replicas: c.History.Replicas, DurableIdle: c.History.DurableIdle},
		Logger:    log,
	}
	if options.TLS, err = c.NATS.LoadTLS(certs["nats.tls"]); err != nil {
		return nil, err
	}
	if c.NATS.URL != "" {
		return relay.Dial(options)
	}
	embedded, err := embeddedOptions(c, secrets, certs)
	if err != nil {
		return nil, err
	}
	return relay.Embed(embedded, options)
}

// transientQueues reports which queues are transient by their names.
func transientQueues(c *config.Config) func(queue string) bool {
	queues, _ := c.Queues.Parse() // checked by Load
	return func(queue string) bool {
		return slices.ContainsFunc(queues.Transient, func(e *regexp.Regexp) bool { return e.MatchString(queue) })
	}
}

// headerRoom is what a message may have in addition to its body.
const headerRoom = 1 << 20

func embeddedOptions(c *config.Config, secrets config.PeerSecrets, certs certificates) (relay.EmbeddedOptions, error) {
	o := relay.EmbeddedOptions{
		DataDir: c.DataDir, MaxBytes: int64(c.Data.MaxBytes), MaxPayload: int32(c.Limits.Body + headerRoom),
		User: c.NATS.User, Password: secrets.NATSPassword,
	}
	o.SyncAlways, o.SyncInterval, _ = c.Data.Syncing() // checked by Load
	var err error
	if c.NATS.Listen != "" {
		if o.Host, o.Port, err = hostPort("nats.listen", c.NATS.Listen); err != nil {
			return o, err
		}
	}
	if c.Cluster.Listen == "" {
		return o, nil
	}
	o.Cluster = &relay.ClusterOptions{
		Name: c.Cluster.Name, Node: c.Cluster.Node, Peers: c.Cluster.Peers, User: c.Cluster.User, Password: secrets.ClusterPassword,
	}
	if o.Cluster.Host, o.Cluster.Port, err = hostPort("cluster.listen", c.Cluster.Listen); err != nil {
		return o, err
	}
	o.Cluster.TLS, err = c.Cluster.TLS.Load(certs["cluster.tls"])
	return o, err
}

func hostPort(key, address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", key, err)
	}
	return host, port, err
}

// brokerOptions are the options of a broker of a process that may use so many bytes of memory,
// except for those that are no settings.
func brokerOptions(c *config.Config, memory int64) broker.Options {
	l := c.Limits
	queues, _ := c.Queues.Parse() // checked by Load, as is the next
	presence, _ := c.Presence.Parse()
	return broker.Options{
		Limits: broker.Limits{
			Frame:          frames.Limits{MaxHeaders: l.Headers, MaxHeaderLine: int(l.HeaderLine), MaxBody: int(l.Body)},
			MaxDestination: int(l.Destination), MaxSubscriptions: l.Subscriptions, MaxTransactions: l.Transactions,
			MaxDedupID: config.Off(int(l.DedupID)), MaxPatternWords: config.Off(l.PatternWords), MaxWildcards: config.Off(l.PatternWildcards),
			MaxTransactionFrames: l.TransactionFrames, MaxTransactionBytes: int(l.TransactionBytes),
			MessageRate: l.MessageRate, MaxConnections: maxConnections(c),
			ConnectTimeout: l.ConnectTimeout, IdleTimeout: l.IdleTimeout, FrameTimeout: l.FrameTimeout, WriteTimeout: l.WriteTimeout,
		},
		Quotas: broker.Quotas{
			AddressConnections: config.Off(l.AddressConnections), AddressConnectRate: config.Off(l.AddressConnectRate),
			UserConnections: config.Off(l.UserConnections), UserSubscriptions: config.Off(l.UserSubscriptions),
			UserMessageRate: l.UserMessageRate, UserByteRate: int(l.UserByteRate), UserSubscribeRate: config.Off(l.UserSubscribeRate),
			UserRequestRate: config.Off(l.UserRequestRate), AddressRequestRate: config.Off(l.AddressRequestRate), UserDurables: config.Off(l.UserDurables),
			Waiting:       broker.ByteLimits{User: config.Off(int(l.UserWaitingBytes)), Node: config.Off(int(l.NodeWaitingBytes))},
			Transactions:  broker.ByteLimits{User: config.Off(int(l.UserTransactionBytes)), Node: config.Off(int(l.NodeTransactionBytes))},
			Subscriptions: broker.ByteLimits{Connection: config.Off(int(l.SubscriptionBytes)), User: config.Off(int(l.UserSubscriptionBytes)), Node: config.Off(int(l.NodeSubscriptionBytes))},
			Unacked:       broker.ByteLimits{Connection: config.Off(int(l.UnackedBytes)), User: config.Off(int(l.UserUnackedBytes)), Node: config.Off(int(l.NodeUnackedBytes))},
			Incoming:      broker.ByteLimits{User: config.Off(int(l.UserIncomingBytes)), Node: config.Off(int(l.NodeIncomingBytes))},
			Dedup:         broker.ByteLimits{User: config.Off(int(l.UserDedupBytes)), Node: config.Off(int(l.NodeDedupBytes))},
			MemoryQueues:  broker.ByteLimits{User: config.Off(int(l.UserMemoryQueueBytes)), Node: config.Off(int(l.NodeMemoryQueueBytes))},
			Queues:        broker.ByteLimits{User: config.Off(int(l.UserQueueBytes)), Node: config.Off(int(l.NodeQueueBytes))},
			Histories:     broker.ByteLimits{User: config.Off(int(l.UserHistoryBytes)), Node: config.Off(int(l.NodeHistoryBytes))},
			Outboxes:      broker.ByteLimits{User: config.Off(int(l.UserOutboxBytes)), Node: config.Off(int(l.NodeOutboxBytes))},
			Memory:        broker.ByteLimits{User: config.Off(int(l.UserMemoryBytes)), Node: config.Off(int(float64(memory) * l.NodeMemoryShare))},
		},
		HeartBeat: broker.HeartBeat{Send: config.Off(c.HeartBeat.Send), Receive: config.Off(c.HeartBeat.Receive), Grace: c.HeartBeat.Grace},
		Queues:    queues, Presence: presence, Name: c.Cluster.Node,
		DrainWindow: c.Drain.Window, AppTimeout: c.App.Timeout,
		Outbox: broker.OutboxOptions{MaxBytes: int(c.Outbox.MaxBytes), MaxFrames: c.Outbox.MaxFrames, Policy: broker.Policy(c.Outbox.Policy)},
	}
}

// allowedOrigins are those of the configuration, and in development mode this machine's.
func allowedOrigins(c *config.Config) []string {
	if c.Dev {
		return append(slices.Clone(c.HTTP.AllowedOrigins), gateway.LoopbackOrigins)
	}
	return c.HTTP.AllowedOrigins
}

// openTransports makes the ways into the broker.
func (s *server) openTransports() {
	c := s.config()
	origins := allowedOrigins(c)
	s.websocket = gateway.NewWebSocket(s.broker, gateway.WebSocketOptions{
		AllowedOrigins: origins, Compression: c.HTTP.Compression, MaxMessage: int64(c.HTTP.MaxMessage), Logger: s.log,
	})
	s.events = gateway.NewEvents(s.broker, gateway.EventsOptions{
		AllowedOrigins: origins, Cookie: c.Events.Cookie,
		HeartBeat: c.Events.HeartBeat, HeartBeatEvents: c.Events.HeartBeatEvents, MaxLifetime: config.Off(c.Events.MaxLifetime), Retry: c.Events.Retry, Logger: s.log,
	})
	js := c.SockJS
	s.sockjs = gateway.NewSockJS(s.broker, gateway.SockJSOptions{
		AllowedOrigins: origins, MaxMessage: int64(c.HTTP.MaxMessage), Compression: c.HTTP.Compression, Logger: s.log,
		HeartBeat: js.HeartBeat, DisconnectDelay: js.DisconnectDelay, Transports: js.Transports, ClientURL: js.ClientURL,
		Cookie: js.Cookie, AnyAddress: !js.BindAddress, BodyTimeout: js.BodyTimeout, MaxPending: js.MaxPending, MaxBodies: int64(js.MaxBodies),
	})
	certificateName := auth.CertificateName("")
	if s.clientCAs != nil {
		certificateName = auth.CertificateName(c.STOMP.ClientTLS.Name)
	}
	s.tcp = gateway.NewTCP(s.broker, gateway.TCPOptions{Logger: s.log, CertificateName: certificateName, HandshakeFailed: func(remote string, err error) { s.refusals.handshake("stomp", remote, err) }})
}

// openWebhooks has the webhooks of the configuration answer requests of b.
func openWebhooks(c *config.Config, b *broker.Broker, log *slog.Logger) ([]*webhook.Webhook, error) {
	var all []*webhook.Webhook
	for _, w := range c.App.Webhooks {
		hook, err := newWebhook(w, b, log, c.Dev)
		if err == nil {
			err = b.Handle(w.Match, hook.Handle)
		}
		if err != nil {
			return all, fmt.Errorf("configuration: app.webhooks: %w", err)
		}
		all = append(all, hook)
	}
	return all, nil
}

// checkWebhooks says what openWebhooks would find wrong: their URLs, permissions and
// secrets, some of which are in files.
func checkWebhooks(c *config.Config) error {
	for _, w := range c.App.Webhooks {
		if _, err := newWebhook(w, nil, nil, c.Dev); err != nil {
			return fmt.Errorf("configuration: app.webhooks: %w", err)
		}
	}
	return nil
}

func newWebhook(w config.Webhook, b *broker.Broker, log *slog.Logger, dev bool) (*webhook.Webhook, error) {
	secret, previous, err := w.Secrets(dev)
	if err != nil {
		return nil, fmt.Errorf("webhook %q: %w", w.Name, err)
	}
	return webhook.New(b, webhook.Options{
		Name: w.Name, URL: w.URL, Secret: secret, PreviousSecret: previous, Grants: auth.Grants{Send: w.Send},
		Timeout: w.Timeout, Deadline: w.Deadline, MaxInFlight: w.InFlight, Logger: log,
	})
}
