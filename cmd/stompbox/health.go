package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/internal/clientaddr"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/printable"
)

// maxHealthAnswer is how many bytes of an answer are shown.
const maxHealthAnswer = 1024

// healthProbe is one question to a broker.
type healthProbe struct {
	ready   bool
	ca      string
	timeout time.Duration
	http    *config.HTTP // of the broker that is asked, when it is this machine's own
}

func newHealth() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health [URL]",
		Short: "Check whether a broker is healthy; exit code 1 if not",
		Long: `Check whether a broker is healthy. The exit code is 0 if it is, and 1 if not.

Without a URL, this asks the broker on this machine, at http.listen of the configuration, or
at admin.listen where http.listen is empty.
It does not verify the certificate then, since that names another host. For a URL
without a path it asks /healthz, or /readyz with --ready.`,
		Example: "  stompbox health\n  stompbox health --ready https://stomp.example",
		Args:    cobra.MaximumNArgs(1),
	}
	probe := new(healthProbe)
	cmd.Flags().BoolVar(&probe.ready, "ready", false, "check whether it accepts clients now, and not only whether it works")
	cmd.Flags().StringVar(&probe.ca, "ca", "", "PEM file of certificate authorities to trust, in place of the system's")
	cmd.Flags().DurationVar(&probe.timeout, "timeout", 5*time.Second, "how long an answer may take")
	flags := newConfigFlags(cmd.Flags())
	flags.add("http.listen", "http", "address of the broker, such as 127.0.0.1:8080")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := probe.target(flags, args)
		if err != nil {
			return err
		}
		answer, err := probe.ask(cmd.Context(), target)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), printable.Lines(answer))
		return nil
	}
	return cmd
}

// target is the URL of the arguments, or that of the configured broker, which is this
// machine's own.
func (p *healthProbe) target(flags *configFlags, args []string) (*url.URL, error) {
	if len(args) == 0 {
		c, err := flags.loadForClient()
		if err != nil {
			return nil, err
		}
		target, listener, err := localTarget(c)
		p.http = listener
		return target, err
	}
	target, err := apiURL(args[0])
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL such as http://127.0.0.1:8080", args[0])
	}
	return target, nil
}

// localTarget is where this machine reaches the listener of its own broker that answers questions
// about health.
func localTarget(c *config.Config) (*url.URL, *config.HTTP, error) {
	listener, issued := &c.HTTP, c.ACME.For("http")
	if c.HTTP.Listen == "" && c.Admin.Listen != "" {
		listener, issued = adminListener(c), c.ACME.For("admin")
	}
	target, err := localURL(*listener, issued)
	return target, listener, err
}

// adminListener is the listener of operators as one of clients.
func adminListener(c *config.Config) *config.HTTP {
	return &config.HTTP{Listen: c.Admin.Listen, TLS: c.Admin.TLS}
}

// localURL is where this machine reaches its own listener. Issued says that its certificate
// is one of ACME.
func localURL(c config.HTTP, issued bool) (*url.URL, error) {
	if c.Listen == "" {
		return nil, errors.New("http.listen and admin.listen are empty, so that there is nothing to ask")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("http.listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	target := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
	if c.TLS.Cert != "" || issued {
		target.Scheme = "https"
	}
	return target, nil
}

// ask returns the answer of a broker that is well.
func (p *healthProbe) ask(ctx context.Context, target *url.URL) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if target.Path == "" || target.Path == "/" {
		target = target.JoinPath("/healthz")
		if p.ready {
			target.Path = "/readyz"
		}
	}
	client, err := p.client()
	if err != nil {
		return "", err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", p.noAnswer(target, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxHealthAnswer))
	if err != nil {
		return "", p.noAnswer(target, err)
	}
	text := strings.TrimSpace(string(body))
	if speaksTLS(answer.StatusCode, text) {
		return "", &linkError{where: target, cause: "it speaks TLS", remedy: "use https:// in the URL"}
	}
	if answer.StatusCode != http.StatusOK {
		return "", &unhealthyError{where: target.Redacted(), status: answer.StatusCode, text: text}
	}
	return text, nil
}

// noAnswer explains why there is none.
func (p *healthProbe) noAnswer(target *url.URL, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = &silentError{p.timeout}
	}
	e := newLinkError(target, err)
	e.remedy = strings.NewReplacer("with --url", "as URL", "in --url", "in the URL").Replace(e.remedy)
	return fmt.Errorf("no answer: %w", e)
}

// unhealthyError is an answer that is not that of a broker that is well.
type unhealthyError struct {
	where  string
	status int
	text   string
}

func (e *unhealthyError) Error() string {
	return fmt.Sprintf("%s answers %d: %s", e.where, e.status, e.text)
}

func (p *healthProbe) client() (*http.Client, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: p.http != nil} //nolint:gosec // the listener of this machine, whose certificate has another name
	roots, err := authorities(p.ca)
	if err != nil {
		return nil, err
	}
	if roots != nil {
		t.RootCAs, t.InsecureSkipVerify = roots, false
	}
	transport := &http.Transport{TLSClientConfig: t, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	if p.http != nil {
		// A proxy of the environment is for other hosts than one's own.
		transport.Proxy, transport.DialContext = nil, p.dial
	}
	return &http.Client{Transport: transport, CheckRedirect: noRedirect}, nil
}

// dial connects to this machine's own listener. Where it takes this machine for a proxy,
// it waits for a header of the PROXY protocol first.
func (p *healthProbe) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || !p.http.ProxyProtocol {
		return c, err
	}
	proxies, err := clientaddr.ParseProxies(p.http.TrustedProxies)
	if own, parseErr := netip.ParseAddrPort(c.LocalAddr().String()); err == nil && parseErr == nil && proxies.Trusts(own.Addr()) {
		_, err = io.WriteString(c, "PROXY UNKNOWN\r\n")
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
