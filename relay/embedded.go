package relay

import (
	"errors"
	"fmt"
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
}

// Server is an embedded NATS server.
type Server struct {
	nats    *server.Server
	private bool // it does not listen, so this process is its only client
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
}

// ClientURL is where other programs reach the embedded server, or "" when it is
// external or does not listen.
func (r *Relay) ClientURL() string {
	if r.server == nil {
		return ""
	}
	return r.server.nats.ClientURL()
}
