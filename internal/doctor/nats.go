package doctor

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// nats connects to each server of an external NATS, as serve does to one of them.
func checkNATS(ctx context.Context, e *examination) []Result {
	if e.c.NATS.URL == "" {
		return nil
	}
	const check = "nats.url"
	options, err := natsOptions(e)
	if err != nil {
		return []Result{fail(check, "correct nats.ca and nats.tls", "%v", err)}
	}
	var all []Result
	reached := 0
	for address := range strings.SplitSeq(e.c.NATS.URL, ",") {
		address = strings.TrimSpace(address)
		if _, err := url.Parse(address); err != nil { // an error that has the password in it
			all = append(all, fail(check, "correct nats.url, such as nats://a:4222", "%s is not a URL", withoutLogin(address)))
			continue
		}
		c, err := nats.Connect(address, options...)
		if err != nil {
			all = append(all, fail(check, natsRemedy(err), "%s: %v", withoutLogin(address), err))
			continue
		}
		all = append(all, checkNATSServer(e, c)...)
		if reached++; reached == 1 {
			all = append(all, checkJetStream(ctx, e, c)...)
		}
		c.Close()
	}
	if reached > 0 {
		for i := range all { // serve does with one of them
			if all[i].Check == check && all[i].Status == Failure {
				all[i].Status = Warning
			}
		}
	}
	return all
}

func natsOptions(e *examination) ([]nats.Option, error) {
	n := e.c.NATS
	options := []nats.Option{nats.Name("stompbox doctor"), nats.Timeout(e.Timeout), nats.NoReconnect()}
	if n.Credentials != "" {
		options = append(options, nats.UserCredentials(n.Credentials))
	}
	secrets, err := e.c.ReadPeerSecrets()
	if err != nil {
		return nil, err
	}
	if secrets.NATSToken != "" {
		options = append(options, nats.Token(secrets.NATSToken))
	}
	if n.User != "" {
		options = append(options, nats.UserInfo(n.User, secrets.NATSPassword))
	}
	pair, err := n.TLS.Pair("nats.tls")
	if err != nil {
		return nil, err
	}
	t, err := n.LoadTLS(pair)
	if t != nil {
		options = append(options, nats.Secure(t))
	}
	return options, err
}

func natsRemedy(err error) string {
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return "correct nats.user and nats.password, nats.token, or nats.credentials"
	case errors.Is(err, nats.ErrNoServers):
		return "start NATS, or correct nats.url; check DNS and firewall"
	}
	return "check nats.url, nats.ca and nats.tls"
}

// natsServer looks at the server that a connection is to.
func checkNATSServer(e *examination, c *nats.Conn) []Result {
	const check = "nats.url"
	where := c.ConnectedAddr()
	trip, err := c.RTT()
	if err != nil {
		return []Result{fail(check, "see the log of the NATS server", "%s does not answer a ping: %v", where, err)}
	}
	all := []Result{ok(check, "NATS %s at %s answers in %s", c.ConnectedServerVersion(), where, trip.Round(time.Microsecond))}
	if limit := c.MaxPayload(); limit < int64(e.c.Limits.Body) {
		all = append(all, warn("max_payload", "raise max_payload of NATS, or lower limits.body", "NATS takes messages of %s, limits.body is %s: larger ones reach the subscribers of their own node alone", bytesText(uint64(limit)), bytesText(uint64(e.c.Limits.Body))))
	}
	state, err := c.TLSConnectionState()
	switch host, _, _ := net.SplitHostPort(where); {
	case err == nil:
		if result, bad := checkDates(e, "certificate of NATS", state.PeerCertificates[0]); bad {
			all = append(all, result)
		}
	case !net.ParseIP(host).IsLoopback():
		all = append(all, warn("tls to NATS", "use tls:// in nats.url, and nats.ca", "the connection to %s is not encrypted", where))
	}
	return all
}

// jetStream checks that the account may keep queues and histories, and compares clocks
// where a stream shows the server's.
func checkJetStream(ctx context.Context, e *examination, c *nats.Conn) []Result {
	const check = "jetstream"
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	js, err := jetstream.New(c)
	if err != nil {
		return []Result{fail(check, "", "%v", err)}
	}
	account, err := js.AccountInfo(ctx)
	if err != nil {
		return []Result{fail(check, "turn JetStream on in the NATS server (jetstream { store_dir: ... }) and in the account", "queues and histories cannot be kept: %v", err)}
	}
	all := []Result{ok(check, "%d streams, %s on disk", account.Streams, bytesText(account.Store))}
	if limit := account.Limits.MaxStore; limit > 0 && account.Store > uint64(limit)/10*9 {
		all[0] = warn(check, "raise the limit of the account, or delete what is not needed", "%s of %s are used", bytesText(account.Store), bytesText(uint64(limit)))
	}
	sent := e.Now()
	lister := js.ListStreams(ctx)
	for info := range lister.Info() {
		all = append(all, compareClock(e, "clock of NATS", info.TimeStamp, sent, e.Now()))
		cancel() // one is enough
		break
	}
	return all
}

// withoutLogin is a URL for people.
func withoutLogin(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "nats", text
	}
	return scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
}
