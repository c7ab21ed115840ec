package relay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// EmbeddedOptions make an embedded NATS server.
type EmbeddedOptions struct {
	// DataDir is where JetStream keeps its files, in a folder nats of it.
	DataDir string
	// MaxPayload is the largest message in octets, headers included.
	MaxPayload int32
	// Listen has the server take NATS clients on host:port, so that other
	// programs and nodes can use it. Empty: this process only.
	Host string
	Port int // 0 does not listen; -1 takes any free port
	// User and Password are what such clients have to show.
	User, Password string
	// SyncAlways has each write reach the disk before it is confirmed. Otherwise
	// a machine, not a process, that dies can lose what was written since the
	// last sync; SyncInterval is how often there is one, default 2 minutes.
	SyncAlways   bool
	SyncInterval time.Duration
	// MaxBytes bounds what JetStream may keep on disk. Default three quarters of
	// what is free.
	MaxBytes int64
}

// Server is an embedded NATS server.
type Server struct {
	nats    *server.Server
	private bool // it does not listen, so this process is its only client
	marker  string
	started time.Time
	unclean bool // the last process that had the data did not end well
}

// Embed starts a NATS server in this process and connects to it.
func Embed(e EmbeddedOptions, o Options) (*Relay, error) {
	if e.DataDir == "" {
		return nil, errors.New("relay: an embedded NATS server needs a data directory")
	}
	options := &server.Options{
		ServerName: "stompbox", DontListen: e.Port == 0, Host: e.Host, Port: e.Port,
		JetStream: true, StoreDir: filepath.Join(e.DataDir, "nats"),
		NoSigs: true, NoLog: true, MaxPayload: e.MaxPayload, MaxPending: 64 << 20,
		Username: e.User, Password: e.Password,
		SyncAlways: e.SyncAlways, SyncInterval: e.SyncInterval, JetStreamMaxStore: e.MaxBytes,
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("relay: embedded NATS: %w", err)
	}
	embedded := &Server{nats: s, private: options.DontListen}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		embedded.close()
		return nil, fmt.Errorf("relay: the embedded NATS server did not start; is %s writable, and not used by another process?", options.StoreDir)
	}
	if err := embedded.mark(options.StoreDir); err != nil {
		embedded.close()
		return nil, fmt.Errorf("relay: %w", err)
	}
	o.User, o.Password = e.User, e.Password
	r, err := connect(o, "", embedded)
	if err != nil {
		embedded.close()
	}
	return r, err
}

func (s *Server) close() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	if s.marker != "" {
		_ = os.Remove(s.marker) // then what it says is true
	}
}

// mark leaves a file that only a good end removes. Where it is found, messages
// may have been delivered of which JetStream had not noted it yet.
func (s *Server) mark(dir string) error {
	s.marker, s.started = filepath.Join(dir, "running"), time.Now()
	_, err := os.Stat(s.marker)
	s.unclean = err == nil
	return os.WriteFile(s.marker, nil, 0o600)
}

// ClientURL is where other programs reach the embedded server, or "" when it is
// external or does not listen.
func (r *Relay) ClientURL() string {
	if r.server == nil {
		return ""
	}
	return r.server.nats.ClientURL()
}
