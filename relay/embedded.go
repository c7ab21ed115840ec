package relay

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// EmbeddedOptions configure an embedded NATS server.
type EmbeddedOptions struct {
	// DataDir is the folder for JetStream's files, which are in its subfolder nats.
	DataDir string
	// MaxPayload is the largest message in bytes, headers included.
	MaxPayload int32
	// Host and Port are the address for NATS clients, so that other programs and nodes can use
	// the server. Port 0 does not listen, and -1 listens on any free port.
	Host string
	Port int // 0 does not listen; -1 takes any free port
	// User and Password authenticate these clients.
	User, Password string
	// SyncAlways syncs each write to the disk before it is confirmed. Otherwise a crash of the
	// machine, but not of the process, can lose what was written since the last sync.
	// SyncInterval is the time between syncs. Default [DefaultSyncInterval].
	SyncAlways   bool
	SyncInterval time.Duration
	// MaxBytes bounds JetStream's data on disk. Default three quarters of what it has and the
	// free space. That grows with the free space.
	MaxBytes int64
	// Cluster, if not nil, joins the servers of several nodes.
	Cluster *ClusterOptions

	free func(path string) (free, size uint64, err error) // for tests
}

// DefaultSyncInterval is how often an embedded server syncs what it keeps.
const DefaultSyncInterval = 2 * time.Minute

// ClusterOptions join embedded servers by routes. JetStream then needs a majority of the nodes.
// To survive the loss of one, run at least three.
type ClusterOptions struct {
	// Name is the same on all nodes, Node different on each, and the same after a restart.
	Name, Node string
	// Host and Port are the address for the routes of other nodes.
	Host string
	Port int
	// Peers are the host:port of other nodes' routes, all or some of them. A host
	// name may stand for several addresses.
	Peers []string
	// User and Password authenticate the nodes to each other.
	User, Password string
	// TLS, if not nil, encrypts routes. Both sides of a route present a certificate, so it needs
	// Certificates, RootCAs and, with ClientAuth, ClientCAs.
	TLS *tls.Config
}

const (
	// routePing is how often the servers of a cluster ask each other whether they
	// are there; the third question without an answer ends the route.
	routePing = 2 * time.Second
	// routeRetries is how often a server is tried that no peer names, a second apart.
	routeRetries = 10
	// routeTLSTimeout is how long a handshake may take, in seconds.
	routeTLSTimeout = 5
)

// apply sets what a server needs to be one of a cluster.
func (c *ClusterOptions) apply(o *server.Options) error {
	o.ServerName = c.Node
	o.Cluster = server.ClusterOpts{
		Name: c.Name, Host: c.Host, Port: c.Port, Username: c.User, Password: c.Password,
		PingInterval: routePing, MaxPingsOut: 2, WriteDeadline: writeTimeout,
		PoolSize: -1, // one route to each server: all is of one account, and so on one route anyway
		// Servers that were found through others are tried again, too: with one name for
		// all peers a link that closed twice at once would stay away.
		ConnectRetries: routeRetries,
	}
	if c.TLS != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = c.TLS, routeTLSTimeout
	}
	for _, peer := range c.Peers {
		u := &url.URL{Scheme: "nats-route", Host: peer}
		if _, _, err := net.SplitHostPort(peer); err != nil {
			return fmt.Errorf("relay: peer %q is not host:port: %w", peer, err)
		}
		if c.User != "" {
			u.User = url.UserPassword(c.User, c.Password)
		}
		o.Routes = append(o.Routes, u)
	}
	return nil
}

// Server is an embedded NATS server.
type Server struct {
	nats      atomic.Pointer[server.Server]
	options   *server.Options
	log       *natsLogger
	private   bool // it does not listen, so this process is its only client
	clustered bool
	routes    map[uint64]struct{} // those of the last look
	data      *dataDir
	free      func(path string) (free, size uint64, err error)
	failed    chan struct{} // JetStream reports that it could not write
	served    bool          // what a bad end of the last process left is dealt with
	grows     bool          // how much JetStream may keep is not set
}

// maxControlLine is the longest line that a client of the server may send: subjects of
// [destination.MaxEncoded] have room in it many times over.
const maxControlLine = 32 << 10

// Embed starts a NATS server in this process and connects to it.
func Embed(e EmbeddedOptions, o Options) (*Relay, error) {
	options, err := e.serverOptions()
	if err != nil {
		return nil, err
	}
	if e.Cluster != nil {
		if err := CheckDataDir(e.DataDir); err != nil {
			return nil, err
		}
	}
	data, err := openDataDir(e.DataDir)
	if err != nil {
		return nil, err
	}
	wasClustered := data.wasClustered()
	data.rebooted = data.rebooted && !e.SyncAlways
	embedded := &Server{options: options, private: options.DontListen && e.Cluster == nil, clustered: e.Cluster != nil, data: data, grows: e.MaxBytes <= 0}
	embedded.log = &natsLogger{log: cmp.Or(o.Logger, slog.Default()), failed: make(chan struct{}, 1)}
	embedded.failed, embedded.free = embedded.log.failed, e.free
	if embedded.free == nil {
		embedded.free = freeSpace
	}
	if err := embedded.start(); err != nil {
		embedded.close()
		return nil, err
	}
	data.warnOfOther(embedded.log.log, e.Cluster, wasClustered)
	o.User, o.Password = options.Username, options.Password
	r, err := connect(o, "", embedded)
	if err != nil {
		embedded.close()
	}
	return r, err
}

// serverOptions are those of the server. Of a cluster, it makes a password for this
// process where no clients are to listen.
func (e EmbeddedOptions) serverOptions() (*server.Options, error) {
	if e.DataDir == "" {
		return nil, errors.New("relay: an embedded NATS server needs a data directory")
	}
	if e.Cluster != nil && e.Port == 0 {
		// A server that does not listen for clients does not take routes either.
		e.Host, e.Port, e.User, e.Password = "127.0.0.1", -1, "stompbox", rand.Text()
	}
	options := &server.Options{
		ServerName: "stompbox", DontListen: e.Port == 0, Host: e.Host, Port: e.Port,
		JetStream: true, StoreDir: filepath.Join(e.DataDir, "nats"),
		NoSigs: true, NoLog: true, MaxPayload: e.MaxPayload, MaxPending: max(64<<20, int64(e.MaxPayload)),
		Username: e.User, Password: e.Password, MaxControlLine: maxControlLine,
		SyncAlways: e.SyncAlways, SyncInterval: cmp.Or(e.SyncInterval, DefaultSyncInterval), JetStreamMaxStore: e.MaxBytes,
	}
	if e.Cluster != nil {
		if err := e.Cluster.apply(options); err != nil {
			return nil, err
		}
	}
	return options, nil
}

// Check returns the error that Embed would return, without checking the data directory and the
// ports. It starts nothing.
func (e EmbeddedOptions) Check(o Options) error {
	options, err := e.serverOptions()
	if err == nil {
		_, err = server.NewServer(options)
	}
	if err != nil {
		return fmt.Errorf("relay: embedded NATS: %w", err)
	}
	return o.Check()
}

// restartJetStream has JetStream read its files again. To stop JetStream alone would take
// a server out of its cluster, so there the server is started again as a whole.
func (s *Server) restartJetStream() error {
	if s.clustered {
		return s.restart()
	}
	config := s.running().JetStreamConfig()
	if config == nil {
		return errors.New("JetStream is not there")
	}
	again := *config
	again.StoreDir = filepath.Dir(config.StoreDir)
	if err := s.running().DisableJetStream(); err != nil {
		return err
	}
	return s.running().EnableJetStream(&again)
}

// isPrivate reports whether this process is the server's only client: no other has a
// message when it first reads a consumer.
func (s *Server) isPrivate() bool { return s != nil && s.private }

// running is the server as it runs now.
func (s *Server) running() *server.Server { return s.nats.Load() }

// InProcessConn connects to the running server.
func (s *Server) InProcessConn() (net.Conn, error) { return s.running().InProcessConn() }

// start makes and starts the server.
func (s *Server) start() error {
	if s.grows && s.options.JetStreamMaxStore <= 0 {
		s.options.JetStreamMaxStore = 1 // JetStream changes no limit that it chose itself
	}
	made, err := server.NewServer(s.options)
	if err != nil {
		return fmt.Errorf("relay: embedded NATS: %w", err)
	}
	s.log.begin()
	made.SetLogger(s.log, false, false)
	s.nats.Store(made)
	if s.clustered {
		s.log.atStart.begin(time.Now())
	}
	made.Start()
	if !made.ReadyForConnections(startTimeout) {
		why := s.log.lastFatal()
		if why == "" {
			why = fmt.Sprintf("it did not answer within %s; its files are in %s", startTimeout, s.options.StoreDir)
		}
		return fmt.Errorf("relay: the embedded NATS server did not start: %s", why)
	}
	if err := s.grow(); err != nil {
		return fmt.Errorf("relay: embedded NATS: %w", err)
	}
	return nil
}

// startTimeout is how long a server may take to answer.
const startTimeout = 10 * time.Second

// restart ends the server and starts it again, as a process that is started again does.
// Others of its cluster take over what it led.
func (s *Server) restart() error {
	s.running().Shutdown()
	s.running().WaitForShutdown()
	return s.start()
}

func (s *Server) close() {
	if running := s.running(); running != nil {
		running.Shutdown()
		running.WaitForShutdown()
	}
	s.data.close(s.served || !s.data.unclean)
}

// addPeers adds the ids of the servers that this one has routes to.
func (s *Server) addPeers(to map[string]bool) {
	all, err := s.running().Routez(&server.RoutezOptions{})
	if err != nil {
		return
	}
	for _, route := range all.Routes {
		to[route.RemoteID] = true
	}
}

// newRoutes returns the names of the servers that routes were made to since the last call.
func (s *Server) newRoutes() (made []string) {
	all, err := s.running().Routez(&server.RoutezOptions{})
	if err != nil {
		return nil
	}
	now := make(map[uint64]struct{}, len(all.Routes))
	for _, route := range all.Routes {
		now[route.Rid] = struct{}{}
		if _, old := s.routes[route.Rid]; !old {
			made = append(made, route.RemoteName)
		}
	}
	s.routes = now
	return made
}
