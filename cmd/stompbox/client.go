package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/gorilla/websocket"
	"github.com/spf13/pflag"

	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/problem"
)

// clientFlags say which broker to talk to, and as which user.
type clientFlags struct {
	url, ca, token, tokenFile, login, passcode, passcodeFile string
	timeout                                                  time.Duration
	http                                                     *http.Client // nil until it is needed
}

// defaultTimeout is how long a broker may be silent.
const defaultTimeout = 30 * time.Second

// newClientFlags adds the flags of a command that asks the HTTP API.
func newClientFlags(f *pflag.FlagSet) *clientFlags {
	return addClientFlags(f, "http://127.0.0.1:8080", "broker: http://host:port or https://host:port, of http.listen or admin.listen")
}

// newSTOMPFlags adds the flags of a command that speaks STOMP.
func newSTOMPFlags(f *pflag.FlagSet) *clientFlags {
	return addClientFlags(f, "ws://127.0.0.1:8080/ws", "broker: ws://host:port/path, wss://..., or tcp://host:port")
}

func addClientFlags(f *pflag.FlagSet, url, usage string) *clientFlags {
	c := new(clientFlags)
	f.StringVar(&c.url, "url", url, usage)
	f.StringVar(&c.ca, "ca", "", "PEM file of certificate authorities to trust, in place of the system's")
	addTimeout(f, &c.timeout)
	f.StringVar(&c.token, "token", "", "token to connect with, in place of login and passcode; other users of this machine can read it here, so rather use --token-file or STOMPBOX_TOKEN")
	f.StringVar(&c.tokenFile, "token-file", "", "file with the token")
	f.StringVar(&c.login, "login", "guest", "login")
	f.StringVar(&c.passcode, "passcode", "", "passcode; rather use --passcode-file or STOMPBOX_PASSCODE (default guest)")
	f.StringVar(&c.passcodeFile, "passcode-file", "", "file with the passcode")
	return c
}

// addTimeout adds --timeout, which has to be above 0.
func addTimeout(f *pflag.FlagSet, timeout *time.Duration) {
	*timeout = defaultTimeout
	f.Var((*timeoutValue)(timeout), "timeout", "how long the broker may be silent; long transfers go on while they move")
}

// timeoutValue is the value of a flag.
type timeoutValue time.Duration

func (v *timeoutValue) String() string { return time.Duration(*v).String() }
func (v *timeoutValue) Type() string   { return "duration" }

func (v *timeoutValue) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("it has to be above 0")
	}
	*v = timeoutValue(d)
	return err
}

// credentials reads what files and variables hold. A flag wins over its file, and that
// over its variable.
func (c *clientFlags) credentials() (token, login, passcode string, err error) {
	if token, err = secretOf(c.token, c.tokenFile, "token-file", config.TokenVariable); err != nil {
		return "", "", "", err
	}
	if passcode, err = secretOf(c.passcode, c.passcodeFile, "passcode-file", config.PasscodeVariable); err != nil {
		return "", "", "", err
	}
	return token, c.login, cmp.Or(passcode, "guest"), nil
}

func secretOf(value, file, flag, variable string) (string, error) {
	switch {
	case value != "":
		return value, nil
	case file == "":
		return os.Getenv(variable), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	if value = strings.TrimSpace(string(text)); value == "" {
		return "", fmt.Errorf("--%s: %s is empty", flag, file)
	}
	return value, nil
}

// dial connects with the STOMP client, over whichever transport the URL names.
func (c *clientFlags) dial(ctx context.Context) (*stomp.Conn, error) {
	u, err := url.Parse(c.url)
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	options := []func(*stomp.Conn) error{
		stomp.ConnOpt.Host(u.Hostname()), stomp.ConnOpt.HeartBeat(10*time.Second, 10*time.Second), stomp.ConnOpt.HeartBeatGracePeriodMultiplier(2.5),
		stomp.ConnOpt.Logger(quiet{}),
	}
	token, login, passcode, err := c.credentials()
	if err != nil {
		return nil, err
	}
	if token != "" {
		options = append(options, stomp.ConnOpt.Header("Authorization", "Bearer "+token))
	} else {
		options = append(options, stomp.ConnOpt.Login(login, passcode))
	}
	switch u.Scheme {
	case "tcp":
		stream, err := (&net.Dialer{Timeout: c.timeout}).DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return nil, unreachable(u, nil, c.silence(err))
		}
		return c.connect(ctx, u, stream, stream, options)
	case "ws", "wss":
		roots, err := authorities(c.ca)
		if err != nil {
			return nil, err
		}
		dialer := websocket.Dialer{
			Subprotocols: []string{"v12.stomp", "v11.stomp", "v10.stomp"}, HandshakeTimeout: c.timeout,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		}
		ws, answer, err := dialer.DialContext(ctx, c.url, nil)
		if err != nil {
			return nil, unreachable(u, answer, c.silence(err))
		}
		return c.connect(ctx, u, ws.NetConn(), &wsStream{ws: ws}, options)
	}
	return nil, fmt.Errorf("--url %q: use ws://, wss:// or tcp://, such as ws://127.0.0.1:8080/ws or tcp://127.0.0.1:61613", c.url)
}

// connect begins a STOMP connection on a stream, and closes that if there is none.
func (c *clientFlags) connect(ctx context.Context, u *url.URL, below net.Conn, stream io.ReadWriteCloser, options []func(*stomp.Conn) error) (*stomp.Conn, error) {
	began := time.Now()
	_ = below.SetDeadline(began.Add(c.timeout))
	conn, err := stomp.ConnectWithContext(ctx, stream, options...)
	if err != nil {
		_ = stream.Close()
		if time.Since(began) >= c.timeout { // the STOMP client hides why it could not read
			err = newLinkError(u, &silentError{c.timeout})
		}
		return nil, err
	}
	return conn, below.SetDeadline(time.Time{})
}

// silence is the error of a connection, which may be that the broker was silent for too long.
func (c *clientFlags) silence(err error) error {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return &silentError{c.timeout}
	}
	return err
}

// unreachable says what to look at where no broker answers as one.
func unreachable(u *url.URL, answer *http.Response, err error) error {
	switch {
	case answer != nil:
		if text, _ := io.ReadAll(io.LimitReader(answer.Body, maxProblem)); speaksTLS(answer.StatusCode, string(text)) {
			return &linkError{where: u, cause: "it speaks TLS", remedy: "use " + otherScheme(u) + " in --url"}
		} else if detail := refusal(answer, text); detail != "" {
			return fmt.Errorf("cannot connect to %s: %s", u.Redacted(), detail)
		}
		return fmt.Errorf("cannot connect to %s: the server answers %s; the path of a broker is /ws", u.Redacted(), answer.Status)
	case err != nil:
		return newLinkError(u, err)
	}
	return nil
}

// refusal is what a broker says that refuses a connection, or empty.
func refusal(answer *http.Response, text []byte) string {
	if answer.Header.Get("Content-Type") != problem.ContentType {
		return ""
	}
	var p problem.Details
	_ = json.Unmarshal(text, &p)
	return p.Detail
}

// quiet has the STOMP client log nothing: what it has to say comes as errors, too.
type quiet struct{}

func (quiet) Debugf(string, ...any)   {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Errorf(string, ...any)   {}
func (quiet) Debug(string)            {}
func (quiet) Info(string)             {}
func (quiet) Warning(string)          {}
func (quiet) Error(string)            {}

// wsStream is a WebSocket as the stream that the STOMP client reads and writes.
type wsStream struct {
	ws *websocket.Conn
	r  io.Reader
}

func (s *wsStream) Read(p []byte) (int, error) {
	for {
		if s.r == nil {
			_, r, err := s.ws.NextReader()
			if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				err = io.EOF
			}
			if err != nil {
				return 0, err
			}
			s.r = r
		}
		n, err := s.r.Read(p)
		if err == io.EOF {
			s.r, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

// Write drops what cannot be sent any more because the broker has ended the connection:
// who reads learns of the end, and why, by an ERROR that an error here would hide.
func (s *wsStream) Write(p []byte) (int, error) {
	err := s.ws.WriteMessage(websocket.BinaryMessage, p)
	if errors.Is(err, websocket.ErrCloseSent) {
		err = nil
	}
	return len(p), err
}

func (s *wsStream) Close() error { return s.ws.Close() }
