package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/config"
)

func newReload() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a broker read its configuration again, without dropping a connection",
		Long: `Have a broker read its configuration again. The answer says what has changed, and which keys
need a restart. If anything is wrong with the file, nothing changes, and the exit code is 1.

Without --url, this asks the broker on this machine: at admin.listen with admin.token if
they are configured, otherwise at http.listen with a token that is signed with the key of the
configuration. Without such a key, give a token with send permission for
/session/reload, or send SIGHUP; then the broker's log has the answer.`,
		Example: "  sudo stompbox reload -c /etc/stompbox/stompbox.yaml\n  stompbox reload --url https://stomp.example --token-file admin.jwt",
		Args:    cobra.NoArgs,
	}
	r := new(reloadRequest)
	cmd.Flags().StringVar(&r.client.url, "url", "", "broker, such as http://127.0.0.1:8080")
	cmd.Flags().StringVar(&r.client.token, "token", "", "token to ask with; other users of this machine can read it here, so rather use --token-file or STOMPBOX_TOKEN")
	cmd.Flags().StringVar(&r.client.tokenFile, "token-file", "", "file with the token")
	addTimeout(cmd.Flags(), &r.client.timeout)
	cmd.Flags().StringVar(&r.client.ca, "ca", "", "PEM file of certificate authorities to trust, in place of the system's")
	asJSON := cmd.Flags().Bool("json", false, "print the answer as JSON")
	flags := newConfigFlags(cmd.Flags())
	flags.add("http.listen", "http", "address of the broker, such as 127.0.0.1:8080")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		result, err := r.ask(cmd.Context(), flags)
		if err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
		}
		result.print(cmd.OutOrStdout())
		return nil
	}
	return cmd
}

// print says what a reload has done, for people.
func (r *reloaded) print(w io.Writer) {
	fmt.Fprintln(w, "reloaded; changed:", cmp.Or(strings.Join(r.Changed, ", "), "no key"))
	for _, key := range r.NeedRestart {
		fmt.Fprintf(w, "waits for a restart: %s (%s)\n", key.Key, key.Why)
	}
	for _, text := range r.Warnings {
		fmt.Fprintln(w, "warning:", text)
	}
	if r.Ended > 0 || r.Revoked > 0 {
		fmt.Fprintf(w, "of %d sessions %d ended, and %d subscriptions, as their permissions were taken away\n", r.Sessions, r.Ended, r.Revoked)
	}
}

// reloadRequest is one request to a broker.
type reloadRequest struct{ client clientFlags }

func (r *reloadRequest) ask(ctx context.Context, flags *configFlags) (*reloaded, error) {
	token, _, _, err := r.client.credentials()
	if err != nil {
		return nil, err
	}
	probe := &healthProbe{ca: r.client.ca}
	var target *url.URL
	if r.client.url == "" {
		if target, token, err = r.local(flags, token, probe); err != nil {
			return nil, err
		}
	}
	client := r.client
	if client.http, err = probe.client(); err != nil {
		return nil, err
	}
	defer client.http.CloseIdleConnections()
	if target != nil {
		client.url, client.token = target.String(), token
	}
	result := new(reloaded)
	err = client.ask(ctx, http.MethodPost, "/api/reload", nil, result)
	var link *linkError
	var said *answerError
	switch {
	case target == nil || err == nil:
	case errors.As(err, &link):
		err = fmt.Errorf("%w; where the file has another address now than the broker that runs, use --url, or send it SIGHUP: then the answer is in its log", err)
	case errors.As(err, &said) && said.status == http.StatusUnauthorized:
		err = fmt.Errorf("%w; where the file has another key now than the broker that runs, send it SIGHUP", err)
	}
	return result, err
}

// local is the broker of this machine, with a token that it takes. The configuration may
// be the new one already, and have faults that the broker is to name.
func (r *reloadRequest) local(flags *configFlags, token string, probe *healthProbe) (*url.URL, string, error) {
	c, err := flags.loadForClient()
	if err != nil {
		return nil, "", fmt.Errorf("%w; nothing was reloaded", err)
	}
	probe.http = &c.HTTP
	issued := c.ACME.For("http")
	if c.Admin.Listen != "" {
		if token == "" {
			token, err = c.Admin.ReadToken(c.Dev)
		}
		if err != nil {
			return nil, "", err
		}
		probe.http = adminListener(c)
		issued = c.ACME.For("admin")
	}
	target, err := localURL(*probe.http, issued)
	if err != nil || token != "" {
		return target, token, err
	}
	if token, err = signReload(c); err != nil && !flags.hasFile() {
		err = errors.New("there is no stompbox.yaml here; name the file of the broker with -c, or the broker with --url and --token-file")
	} else if err != nil {
		err = fmt.Errorf("%w; use --token-file, or send SIGHUP to the broker", err)
	}
	return target, token, err
}

// signReload makes a token that may do nothing but reload.
func signReload(c *config.Config) (string, error) {
	if len(c.Auth.JWT.RequiredClaims) > 0 {
		return "", errors.New("auth.jwt.required_claims has claims that only the maker of tokens knows")
	}
	if keys, err := c.StaticKeys(); err == nil && len(keys) == 0 && c.Auth.JWT.JWKSURL == "" {
		return "", errors.New("the configuration has no key that could sign a token")
	}
	token, _, err := sign(c, "reload", auth.Claims{TTL: time.Minute, Grants: auth.Grants{Send: []string{destination.ReloadPermission}}})
	return token, err
}
