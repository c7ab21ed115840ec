// Package config reads stompbox.yaml, STOMPBOX_* variables and flags into one
// typed Config. No other package reads them.
package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/internal/clientaddr"
)

// Config is all that an operator can say. stompbox.example.yaml explains each key.
type Config struct {
	Dev       bool      `mapstructure:"dev"`
	DataDir   string    `mapstructure:"data_dir"`
	HTTP      HTTP      `mapstructure:"http"`
	STOMP     STOMP     `mapstructure:"stomp"`
	ACME      ACME      `mapstructure:"acme"`
	Events    Events    `mapstructure:"events"`
	SockJS    SockJS    `mapstructure:"sockjs"`
	NATS      NATS      `mapstructure:"nats"`
	Cluster   Cluster   `mapstructure:"cluster"`
	Data      Data      `mapstructure:"data"`
	Queues    Queues    `mapstructure:"queues"`
	History   History   `mapstructure:"history"`
	Presence  Presence  `mapstructure:"presence"`
	App       App       `mapstructure:"app"`
	Auth      Auth      `mapstructure:"auth"`
	Limits    Limits    `mapstructure:"limits"`
	HeartBeat HeartBeat `mapstructure:"heartbeat"`
	Outbox    Outbox    `mapstructure:"outbox"`
	Metrics   Metrics   `mapstructure:"metrics"`
	Admin     Admin     `mapstructure:"admin"`
	Log       Log       `mapstructure:"log"`
	Drain     Drain     `mapstructure:"drain"`
}

// TLS names a certificate and its key, in PEM files.
type TLS struct {
	Cert string `mapstructure:"cert"`
	Key  string `mapstructure:"key"`
}

// HTTP is the listener of WebSockets.
type HTTP struct {
	Listen         string   `mapstructure:"listen"`
	TLS            TLS      `mapstructure:"tls"`
	AllowedOrigins []string `mapstructure:"allowed_origins"`
	TrustedProxies []string `mapstructure:"trusted_proxies"`
	ProxyProtocol  bool     `mapstructure:"proxy_protocol"`
	Compression    bool     `mapstructure:"compression"`
	MaxMessage     Size     `mapstructure:"max_message"`
}

// Events are streams of server-sent events.
type Events struct {
	HeartBeat       time.Duration `mapstructure:"heartbeat"`
	HeartBeatEvents bool          `mapstructure:"heartbeat_events"`
	MaxLifetime     time.Duration `mapstructure:"max_lifetime"`
	Retry           time.Duration `mapstructure:"retry"`
	Cookie          string        `mapstructure:"cookie"`
}

// SockJS is for clients that cannot open a WebSocket.
type SockJS struct {
	HeartBeat       time.Duration `mapstructure:"heartbeat"`
	DisconnectDelay time.Duration `mapstructure:"disconnect_delay"`
	Transports      []string      `mapstructure:"transports"`
	ClientURL       string        `mapstructure:"client_url"`
	Cookie          bool          `mapstructure:"cookie"`
	BindAddress     bool          `mapstructure:"bind_address"`
	BodyTimeout     time.Duration `mapstructure:"body_timeout"`
	MaxPending      int           `mapstructure:"max_pending"`
	MaxBodies       Size          `mapstructure:"max_bodies"`
}

// STOMP is the listener of plain STOMP over TCP.
type STOMP struct {
	Listen         string   `mapstructure:"listen"`
	TrustedProxies []string `mapstructure:"trusted_proxies"`
	ProxyProtocol  bool     `mapstructure:"proxy_protocol"`
	TLS            TLS      `mapstructure:"tls"`

	ClientTLS ClientTLS `mapstructure:"client_tls"`
}

// ClientTLS says which certificates of clients are accepted, and for which logins.
type ClientTLS struct {
	CA       string `mapstructure:"ca"`
	CRL      string `mapstructure:"crl"`
	Required bool   `mapstructure:"required"`
	Name     string `mapstructure:"name"`
}

// NATS says which server carries destinations between nodes.
type NATS struct {
	URL         string `mapstructure:"url"`
	Credentials string `mapstructure:"credentials"`
	Token       string `mapstructure:"token"`
	TokenFile   string `mapstructure:"token_file"`
	User        string `mapstructure:"user"`
	Password    string `mapstructure:"password"`

	PasswordFile string `mapstructure:"password_file"`

	CA     string `mapstructure:"ca"`
	TLS    TLS    `mapstructure:"tls"`
	Prefix string `mapstructure:"prefix"`
	Listen string `mapstructure:"listen"`
}

// Cluster joins the embedded NATS servers of several nodes.
type Cluster struct {
	Listen   string   `mapstructure:"listen"`
	Peers    []string `mapstructure:"peers"`
	Name     string   `mapstructure:"name"`
	Node     string   `mapstructure:"node"`
	User     string   `mapstructure:"user"`
	Password string   `mapstructure:"password"`
	TLS      PeerTLS  `mapstructure:"tls"`

	PasswordFile string `mapstructure:"password_file"`
}

// PeerTLS is what nodes show each other, and who signed it.
type PeerTLS struct {
	Cert string `mapstructure:"cert"`
	Key  string `mapstructure:"key"`
	CA   string `mapstructure:"ca"`
}

// Data says how the embedded NATS server keeps what is in data_dir.
type Data struct {
	Sync     string `mapstructure:"sync"`
	MaxBytes Size   `mapstructure:"max_bytes"`
}

// Queues say what /queue destinations are like.
type Queues struct {
	Prefetch      int           `mapstructure:"prefetch"`
	MaxPrefetch   int           `mapstructure:"max_prefetch"`
	MaxDeliveries int           `mapstructure:"max_deliveries"`
	MaxMessages   int64         `mapstructure:"max_messages"`
	MaxBytes      Size          `mapstructure:"max_bytes"`
	MaxAge        time.Duration `mapstructure:"max_age"`
	AckWait       time.Duration `mapstructure:"ack_wait"`
	DedupWindow   time.Duration `mapstructure:"dedup_window"`
	Replicas      int           `mapstructure:"replicas"`
	Unconfirmed   int           `mapstructure:"unconfirmed"`
	Transient     Expressions   `mapstructure:"transient"`
	Policies      []QueuePolicy `mapstructure:"policies"`
}

// QueuePolicy is what some queues have apart from the others.
type QueuePolicy struct {
	Match         string        `mapstructure:"match"`
	MaxDeliveries int           `mapstructure:"max_deliveries"`
	MaxMessages   int64         `mapstructure:"max_messages"`
	MaxBytes      Size          `mapstructure:"max_bytes"`
	MaxAge        time.Duration `mapstructure:"max_age"`
}

// History says what is kept for subscribers that were away.
type History struct {
	Replicas    int             `mapstructure:"replicas"`
	DurableIdle time.Duration   `mapstructure:"durable_idle"`
	Policies    []HistoryPolicy `mapstructure:"policies"`
}

// HistoryPolicy has some topics or user destinations kept.
type HistoryPolicy struct {
	Name        string        `mapstructure:"name"`
	Match       string        `mapstructure:"match"`
	MaxMessages int64         `mapstructure:"max_messages"`
	MaxBytes    Size          `mapstructure:"max_bytes"`
	MaxAge      time.Duration `mapstructure:"max_age"`
}

// Presence says of which topics joins and leaves are published.
type Presence struct {
	Destinations []string `mapstructure:"destinations"`
}

// App says how requests to app servers go.
type App struct {
	Timeout  time.Duration `mapstructure:"timeout"`
	Webhooks []Webhook     `mapstructure:"webhooks"`
}

// Webhook has an HTTP server answer requests.
type Webhook struct {
	Name       string        `mapstructure:"name"`
	Match      string        `mapstructure:"match"`
	URL        string        `mapstructure:"url"`
	Secret     string        `mapstructure:"secret"`
	SecretFile string        `mapstructure:"secret_file"`
	Previous   Previous      `mapstructure:"previous"`
	Send       []string      `mapstructure:"send"`
	Timeout    time.Duration `mapstructure:"timeout"`
	Deadline   time.Duration `mapstructure:"deadline"`
	InFlight   int           `mapstructure:"in_flight"`
}

// Previous is the secret before the one in use, while receivers change it.
type Previous struct {
	Secret     string `mapstructure:"secret"`
	SecretFile string `mapstructure:"secret_file"`
}

// Auth says who may connect, and what they may do.
type Auth struct {
	JWT     JWT         `mapstructure:"jwt"`
	Logins  []Login     `mapstructure:"logins"`
	Roles   auth.Roles  `mapstructure:"roles"`
	Default auth.Grants `mapstructure:"default"`
}

// JWT says which tokens are accepted.
type JWT struct {
	Secret           string        `mapstructure:"secret"`
	SecretFile       string        `mapstructure:"secret_file"`
	KeyFile          string        `mapstructure:"key_file"`
	Algorithm        string        `mapstructure:"algorithm"`
	Keys             []Key         `mapstructure:"keys"`
	JWKSURL          string        `mapstructure:"jwks_url"`
	JWKSRefresh      time.Duration `mapstructure:"jwks_refresh"`
	JWKSAllowHTTP    bool          `mapstructure:"jwks_allow_http"`
	Issuer           string        `mapstructure:"issuer"`
	Audience         []string      `mapstructure:"audience"`
	Leeway           time.Duration `mapstructure:"leeway"`
	RequiredClaims   []string      `mapstructure:"required_claims"`
	PrincipalClaim   string        `mapstructure:"principal_claim"`
	PermissionsClaim string        `mapstructure:"permissions_claim"`
	RolesClaim       string        `mapstructure:"roles_claim"`
}

// Key is one key of several.
type Key struct {
	ID         string `mapstructure:"id"`
	Algorithm  string `mapstructure:"algorithm"`
	Secret     string `mapstructure:"secret"`
	SecretFile string `mapstructure:"secret_file"`
	File       string `mapstructure:"file"`
}

// Login is a static login.
type Login struct {
	Login        string      `mapstructure:"login"`
	PasscodeHash string      `mapstructure:"passcode_hash"`
	HashFile     string      `mapstructure:"passcode_hash_file"`
	Certificate  bool        `mapstructure:"certificate"`
	Role         string      `mapstructure:"role"`
	Permissions  auth.Grants `mapstructure:"permissions"`
	Relay        bool        `mapstructure:"relay"`
}

// Limits bound what one connection may use.
type Limits struct {
	Headers           int  `mapstructure:"headers"`
	HeaderLine        Size `mapstructure:"header_line"`
	Body              Size `mapstructure:"body"`
	Destination       Size `mapstructure:"destination"`
	Subscriptions     int  `mapstructure:"subscriptions"`
	PatternWords      int  `mapstructure:"pattern_words"`
	PatternWildcards  int  `mapstructure:"pattern_wildcards"`
	Transactions      int  `mapstructure:"transactions"`
	TransactionFrames int  `mapstructure:"transaction_frames"`
	TransactionBytes  Size `mapstructure:"transaction_bytes"`
	MessageRate       int  `mapstructure:"message_rate"`
	Connections       int  `mapstructure:"connections"`

	AddressConnections int  `mapstructure:"address_connections"`
	AddressConnectRate int  `mapstructure:"address_connect_rate"`
	UserConnections    int  `mapstructure:"user_connections"`
	UserSubscriptions  int  `mapstructure:"user_subscriptions"`
	UserMessageRate    int  `mapstructure:"user_message_rate"`
	UserByteRate       Size `mapstructure:"user_byte_rate"`

	UserSubscribeRate  int `mapstructure:"user_subscribe_rate"`
	UserRequestRate    int `mapstructure:"user_request_rate"`
	AddressRequestRate int `mapstructure:"address_request_rate"`
	UserDurables       int `mapstructure:"user_durables"`

	AddressFailedLogins int `mapstructure:"address_failed_logins"`
	UserFailedLogins    int `mapstructure:"user_failed_logins"`

	DedupID Size `mapstructure:"dedup_id"`

	UserWaitingBytes      Size `mapstructure:"user_waiting_bytes"`
	NodeWaitingBytes      Size `mapstructure:"node_waiting_bytes"`
	UserTransactionBytes  Size `mapstructure:"user_transaction_bytes"`
	NodeTransactionBytes  Size `mapstructure:"node_transaction_bytes"`
	SubscriptionBytes     Size `mapstructure:"subscription_bytes"`
	UserSubscriptionBytes Size `mapstructure:"user_subscription_bytes"`
	NodeSubscriptionBytes Size `mapstructure:"node_subscription_bytes"`
	UnackedBytes          Size `mapstructure:"unacked_bytes"`
	UserUnackedBytes      Size `mapstructure:"user_unacked_bytes"`
	NodeUnackedBytes      Size `mapstructure:"node_unacked_bytes"`
	UserIncomingBytes     Size `mapstructure:"user_incoming_bytes"`
	NodeIncomingBytes     Size `mapstructure:"node_incoming_bytes"`
	UserDedupBytes        Size `mapstructure:"user_dedup_bytes"`
	NodeDedupBytes        Size `mapstructure:"node_dedup_bytes"`
	UserMemoryQueueBytes  Size `mapstructure:"user_memory_queue_bytes"`
	NodeMemoryQueueBytes  Size `mapstructure:"node_memory_queue_bytes"`
	UserQueueBytes        Size `mapstructure:"user_queue_bytes"`
	NodeQueueBytes        Size `mapstructure:"node_queue_bytes"`
	UserHistoryBytes      Size `mapstructure:"user_history_bytes"`
	NodeHistoryBytes      Size `mapstructure:"node_history_bytes"`
	UserOutboxBytes       Size `mapstructure:"user_outbox_bytes"`
	NodeOutboxBytes       Size `mapstructure:"node_outbox_bytes"`

	UserMemoryBytes Size    `mapstructure:"user_memory_bytes"`
	NodeMemoryShare float64 `mapstructure:"node_memory_share"`

	ConnectTimeout time.Duration `mapstructure:"connect_timeout"`
	IdleTimeout    time.Duration `mapstructure:"idle_timeout"`
	FrameTimeout   time.Duration `mapstructure:"frame_timeout"`
	WriteTimeout   time.Duration `mapstructure:"write_timeout"`
}

// HeartBeat is the broker's side of the negotiation.
type HeartBeat struct {
	Send    time.Duration `mapstructure:"send"`
	Receive time.Duration `mapstructure:"receive"`
	Grace   float64       `mapstructure:"grace"`
}

// Outbox bounds what is queued for one connection.
type Outbox struct {
	MaxBytes  Size   `mapstructure:"max_bytes"`
	MaxFrames int    `mapstructure:"max_frames"`
	Policy    string `mapstructure:"policy"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// Drain says how a stop goes on.
type Drain struct {
	Window  time.Duration `mapstructure:"window"`
	Timeout time.Duration `mapstructure:"timeout"`
}

// ACMECache is the folder of certificates and keys.
func (c *Config) ACMECache() string {
	if c.ACME.CacheDir != "" {
		return c.ACME.CacheDir
	}
	return filepath.Join(c.DataDir, "acme")
}

// Proxies are the proxies whose word on a client's address is taken: in headers or the
// PROXY protocol over HTTP, and in the PROXY protocol over TCP.
func (c *Config) Proxies() (http, stomp clientaddr.Proxies, err error) {
	if http, err = clientaddr.ParseProxies(c.HTTP.TrustedProxies); err != nil {
		return nil, nil, fmt.Errorf("http.trusted_proxies: %w", err)
	}
	if stomp, err = clientaddr.ParseProxies(c.STOMP.TrustedProxies); err != nil {
		return nil, nil, fmt.Errorf("stomp.trusted_proxies: %w", err)
	}
	switch {
	case c.HTTP.ProxyProtocol && len(http) == 0:
		return nil, nil, errors.New("http.proxy_protocol needs http.trusted_proxies, the addresses that send it")
	case c.STOMP.ProxyProtocol != (len(stomp) > 0):
		return nil, nil, errors.New("stomp.proxy_protocol and stomp.trusted_proxies, the addresses that send it, go together")
	}
	return http, stomp, nil
}
