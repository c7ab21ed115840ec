package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/stompbox/stompbox/internal/certfile"
	"github.com/stompbox/stompbox/internal/problem"
)

// maxProblem is how many bytes of an answer that is an error are read.
const maxProblem = 64 << 10

// apiURL reads the address of a broker's HTTP API, as commands take it: also the one of its
// WebSockets.
func apiURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil && u.Host != "" {
		switch u.Scheme {
		case "http", "https":
			return u, nil
		case "ws":
			return &url.URL{Scheme: "http", Host: u.Host}, nil
		case "wss":
			return &url.URL{Scheme: "https", Host: u.Host}, nil
		}
	}
	return nil, fmt.Errorf("--url %q: this command needs the broker's HTTP address, such as http://127.0.0.1:8080, https://stomp.example or ws://127.0.0.1:8080/ws", text)
}

// authorities reads the PEM file of --ca, or returns nil without one: then those of the system count.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool, err := certfile.Pool(text)
	if err != nil {
		return nil, fmt.Errorf("--ca: %s: %w", file, err)
	}
	return pool, nil
}

// httpClient returns the client of all requests of a command.
func (c *clientFlags) httpClient() (*http.Client, error) {
	if c.http != nil {
		return c.http, nil
	}
	roots, err := authorities(c.ca)
	if err != nil {
		return nil, err
	}
	// The timeout of [patience] is the one that counts, so that there is one error for it.
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: new(net.Dialer).DialContext, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: noRedirect}
	return c.http, nil
}

// noRedirect: a redirect is no answer of a broker, and what changes something must not become a GET.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// ask sends one request to the broker's HTTP API, on the host of --url.
func (c *clientFlags) ask(ctx context.Context, method, path string, query url.Values, answer any) error {
	response, err := c.open(ctx, method, path, query)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(answer)
}

// open sends an HTTP request without a body, and returns the answer where it is one of success. What
// of the path is data has to be percent-encoded.
func (c *clientFlags) open(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	return c.exchange(ctx, method, path, query, nil, nil)
}

// exchange is open with a body. Alive, where it is not nil, is asked about a broker that is silent: if
// it reports true, the transfer goes on.
func (c *clientFlags) exchange(ctx context.Context, method, path string, query url.Values, body io.Reader, alive func() bool) (*http.Response, error) {
	base, err := apiURL(c.url)
	if err != nil {
		return nil, err
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil, err
	}
	client, err := c.httpClient()
	if err != nil {
		return nil, err
	}
	ctx, p := newPatience(ctx, c.timeout, alive)
	if body != nil {
		body = watchedBody{p, body}
	}
	target := url.URL{Scheme: base.Scheme, Host: base.Host, Path: decoded, RawPath: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err == nil {
		err = c.authorize(request)
	}
	if err != nil {
		p.end()
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		err = noAnswer(base, method, p.cause(err))
		p.end()
		return nil, err
	}
	fail := func(err error) error { return noAnswer(base, method, err) }
	response.Body = watchedAnswer{watchedBody{p, response.Body}, response.Body.Close, fail}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted {
		defer response.Body.Close()
		return nil, refusedAnswer(base, response)
	}
	return response, nil
}

// alive asks whether the broker answers at all, for a transfer that stands still.
func (c *clientFlags) alive(ctx context.Context) func() bool {
	return func() bool {
		base, err := apiURL(c.url)
		if err != nil {
			return false
		}
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.Scheme+"://"+base.Host+"/healthz", nil)
		if err != nil {
			return false
		}
		answer, err := c.http.Do(request)
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil && answer.StatusCode < http.StatusInternalServerError
	}
}

// authorize shows the token, or the login if there is none.
func (c *clientFlags) authorize(request *http.Request) error {
	token, login, passcode, err := c.credentials()
	switch {
	case err != nil:
		return err
	case token != "":
		request.Header.Set("Authorization", "Bearer "+token)
	case login != "":
		request.SetBasicAuth(login, passcode)
	}
	return nil
}

// refusedAnswer is the error of an answer that is none of success.
func refusedAnswer(base *url.URL, answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxProblem)) // what came of it has to do
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	var p struct{ Title, Detail, Next string }
	switch {
	case kind == problem.ContentType && json.Unmarshal(text, &p) == nil:
		return &answerError{answer.StatusCode, "the broker says " + answer.Status + ": " + cmp.Or(p.Detail, p.Title), p.Next}
	case speaksTLS(answer.StatusCode, string(text)):
		return &linkError{where: base, cause: "it speaks TLS", remedy: "use " + otherScheme(base) + " in --url"}
	case answer.Header.Get("Location") != "":
		return &linkError{where: base, cause: "it redirects to " + answer.Header.Get("Location"), remedy: "use that address in --url"}
	}
	return &linkError{where: base, cause: "the server answers " + answer.Status, remedy: "that is no answer of a broker's HTTP API: use the address of http.listen or admin.listen in --url"}
}

// speaksTLS reports whether an answer is the one of Go's server to a client that speaks no TLS.
func speaksTLS(status int, text string) bool {
	return status == http.StatusBadRequest && strings.Contains(text, "HTTP request to an HTTPS server")
}
