package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test"
)

func keySetJSON(t *testing.T) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	jwk, err := jwkset.NewJWKFromKey(&private.PublicKey, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "a", ALG: jwkset.AlgES256, USE: jwkset.UseSig}})
	require.NoError(t, err)
	text, err := json.Marshal(map[string]any{"keys": []any{jwk.Marshal()}})
	require.NoError(t, err)
	return text
}

func TestKeySetIsFetchedAndItsClockCompared(t *testing.T) {
	t.Parallel()
	keys := keySetJSON(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keys) })
	mux.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		_, _ = w.Write(keys)
	})
	mux.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) })
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	s := httptest.NewServer(mux)
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	at := func(path string) []Result {
		return checkKeySet(t.Context(), examine(t, "auth: { jwt: { jwks_url: '"+s.URL+path+"', leeway: 5s } }\n"))
	}
	results := at("/keys")
	requireResult(t, results, "auth.jwt.jwks_url", OK, "1 keys of "+host)
	requireResult(t, results, "clock of "+host, OK, "agree")
	requireResult(t, at("/late"), "clock of "+host, Failure, " ahead of its clock, which is more than auth.jwt.leeway 5s")
	requireResult(t, at("/none"), "auth.jwt.jwks_url", Failure, "no key that can be used")
	requireResult(t, at("/page"), "auth.jwt.jwks_url", Failure, "cannot be fetched")
	requireResult(t, at("/missing"), "auth.jwt.jwks_url", Failure, "cannot be fetched")
	requireResult(t, checkKeySet(t.Context(), examine(t, "auth: { jwt: { jwks_url: 'http://"+test.Address(t)+"/' } }\n")), "auth.jwt.jwks_url", Failure, "refused")
	require.Empty(t, checkKeySet(t.Context(), examine(t, "dev: true\n")))
}

// TestAKeySetWhoseCertificateIsRefused: each reason has what to do about it.
func TestAKeySetWhoseCertificateIsRefused(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	result := requireResult(t, checkKeySet(t.Context(), examine(t, "auth: { jwt: { jwks_url: '"+s.URL+"/' } }\n")), "auth.jwt.jwks_url", Failure, "unknown authority")
	require.Contains(t, result.Remedy, "SSL_CERT_FILE")

	wrap := func(err error) error { return fmt.Errorf("tls: %w", err) }
	require.Contains(t, keySetRemedy(wrap(x509.CertificateInvalidError{Reason: x509.Expired})), "renew the certificate")
	require.Contains(t, keySetRemedy(wrap(x509.HostnameError{Certificate: s.Certificate(), Host: "x.example"})), "as its certificate names it")
	require.Contains(t, keySetRemedy(nil), "curl -v")
}

func TestClocksAreComparedWithinTheLeeway(t *testing.T) {
	t.Parallel()
	e := examine(t, "auth: { jwt: { leeway: 30s } }\n")
	sent := time.Now()
	received := sent.Add(time.Second)
	for theirs, want := range map[time.Duration]Status{
		0: OK, -2 * time.Second: OK, 3 * time.Second: OK, -20 * time.Second: Warning, 20 * time.Second: Warning, -time.Minute: Failure, time.Minute: Failure,
	} {
		require.Equal(t, want, compareClock(e, "clock", sent.Add(theirs), sent, received).Status, theirs)
	}
	require.Contains(t, compareClock(e, "clock", sent.Add(time.Minute), sent, received).Message, "59s behind its clock")
}

func TestACLockBeforeThisProgramWasBuiltFails(t *testing.T) {
	t.Parallel()
	e := examine(t, "dev: true\n")
	e.Now = func() time.Time { return time.Unix(0, 0) }
	requireResult(t, checkClock(t.Context(), e), "clock", Failure, "1970-01-01T00:00:00Z")
}

// natsServer is a NATS server of its own.
func startNATS(t *testing.T, o natsserver.Options) string {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", -1, true, true
	if o.JetStream {
		o.StoreDir = t.TempDir()
	}
	s, err := natsserver.NewServer(&o)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	require.True(t, s.ReadyForConnections(test.Patience))
	return s.Addr().String()
}

func TestNATSIsReachedAndHasJetStream(t *testing.T) {
	t.Parallel()
	good := startNATS(t, natsserver.Options{JetStream: true, Username: "node", Password: "a password of this test", MaxPayload: 8 << 20})
	with := func(yaml string) []Result { return checkNATS(t.Context(), examine(t, "nats: "+yaml+"\n")) }
	login := ", user: node, password: a password of this test }"
	results := with("{ url: 'nats://" + good + "'" + login)
	requireResult(t, results, "nats.url", OK, "at "+good+" answers in")
	requireResult(t, results, "jetstream", OK, "0 streams, 0 bytes on disk")
	require.Len(t, results, 2)

	away := test.Address(t)
	results = with("{ url: 'nats://" + away + ",nats://" + good + "'" + login)
	requireResult(t, results, "nats.url", Warning, away)
	requireResult(t, results, "nats.url", OK, good)
	r := requireResult(t, with("{ url: 'nats://"+away+"' }"), "nats.url", Failure, away)
	require.Contains(t, r.Remedy, "start NATS")

	results = with("{ url: 'nats://node:a-wrong-password@" + good + "' }")
	r = requireResult(t, results, "nats.url", Failure, "Authorization Violation")
	require.Contains(t, r.Remedy, "nats.password")
	require.NotContains(t, r.Message, "a-wrong-password")

	small := startNATS(t, natsserver.Options{MaxPayload: 1 << 20})
	results = with("{ url: 'nats://" + small + "' }")
	requireResult(t, results, "max_payload", Warning, "messages of 1.0 MiB, limits.body is 4.0 MiB")
	requireResult(t, results, "jetstream", Failure, "cannot be kept")
}
