package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/problem"
	"github.com/stompbox/stompbox/internal/test"
)

// TestCommandsSayHowTheyAreUsed: an error says what to type instead.
func TestCommandsSayHowTheyAreUsed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	draining := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(http.StatusServiceUnavailable, "the server is shutting down"))
	}))
	defer draining.Close()
	nothing := test.Address(t)
	for line, says := range map[string]string{
		"send":                                  "usage: stompbox send DESTINATION [BODY] [flags]; see stompbox send --help",
		"queue purge":                           "usage: stompbox queue purge QUEUE",
		"serve --htp x":                         "unknown flag: --htp; see stompbox serve --help",
		"token --dev":                           "missing --user",
		"send --url ws://" + nothing + " /a b":  "no program listens there; start the broker, or name another with --url",
		"send --url tcp://" + nothing + " /a b": "no program listens there; start the broker, or name another with --url",
		"bans --url http://" + nothing:          "no program listens there; start the broker, or name another with --url",
		"send --url ws" + strings.TrimPrefix(elsewhere.URL, "http") + " /a b":   "the server answers 404 Not Found; the path of a broker is /ws",
		"send --url ws" + strings.TrimPrefix(draining.URL, "http") + "/ws /a b": "/ws: the server is shutting down",
	} {
		_, said, err := run(t, nil, strings.Fields(line)...)
		require.Error(t, err, line)
		require.Contains(t, said, says, line)
	}
	_, said, err := run(t, []string{"STOMPBOX_QUEUE_REPLICAS=3"}, "config", "check")
	require.Error(t, err)
	require.Contains(t, said, `did you mean "STOMPBOX_QUEUES_REPLICAS"?`)
	_, said, err = run(t, []string{"STOMPBOX_HTTPP=x"}, "config", "check")
	require.Error(t, err)
	require.NotContains(t, said, "STOMPBOX_DEV", "it has only the beginning of all in common")

	help, _, err := run(t, nil, "serve", "--help")
	require.NoError(t, err)
	require.Contains(t, help, "--dev    ")
	require.NotContains(t, help, "true|false")
}

// TestHelpNamesURLsThatTheCommandTakes: a command that asks the HTTP API refuses tcp://.
func TestHelpNamesURLsThatTheCommandTakes(t *testing.T) {
	t.Parallel()
	asked := 0
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		flag := c.Flags().Lookup("url")
		if flag == nil {
			flag = c.PersistentFlags().Lookup("url")
		}
		if flag == nil || flag.DefValue == "" {
			return
		}
		for _, scheme := range []string{"ws", "tcp", "http"} {
			client := &clientFlags{url: scheme + "://" + test.Address(t), login: "guest"}
			_, err := client.dial(t.Context())
			taken := !strings.HasPrefix(err.Error(), "--url")
			if strings.HasPrefix(flag.DefValue, "http") {
				err = client.ask(t.Context(), http.MethodGet, "/api/queues", nil, nil)
				taken = !strings.HasPrefix(err.Error(), "--url")
				taken = taken && scheme != "ws" // which is taken, and has a path that does not count
			}
			require.Equal(t, taken, strings.Contains(flag.Usage, scheme+"://"), "%s: %s", c.CommandPath(), flag.Usage)
			asked++
		}
	}
	look(newRoot())
	require.GreaterOrEqual(t, asked, 45)
}
