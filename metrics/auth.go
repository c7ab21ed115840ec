package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stompbox/stompbox/auth"
)

var (
	jwksKeysDesc    = desc("jwks_keys", "Keys of the JSON Web Key Set that are used.")
	jwksSkippedDesc = desc("jwks_keys_skipped", "Keys of the JSON Web Key Set that are not understood; the log names them.")
	loginsDesc      = desc("logins_total", "Static logins, by what became of them: accepted, refused, busy when there was no time to check, or limited after too many wrong passcodes.", "outcome")
	waitingDesc     = desc("logins_waiting", "Static logins whose passcodes wait to be checked.")
	verifiedDesc    = desc("token_verification_duration_seconds", "How long it took to verify JSON Web Tokens, valid and invalid ones.")
	jwksErrorsDesc  = desc("jwks_fetch_errors_total", "Fetches of the JSON Web Key Set that failed, or had no key that can be used.")
)

type authCollector struct{ authenticator authenticator }

// authenticator is an [auth.Authenticator], or one that can be replaced.
type authenticator interface{ Stats() auth.Stats }

// Auth returns the metrics of a.
func Auth(a authenticator) prometheus.Collector { return authCollector{a} }

func (c authCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c authCollector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, float64(n), labels...)
	}
	s := c.authenticator.Stats()
	send(jwksKeysDesc, prometheus.GaugeValue, s.Keys.Keys)
	send(jwksSkippedDesc, prometheus.GaugeValue, s.Keys.Skipped)
	send(jwksErrorsDesc, prometheus.CounterValue, s.Keys.FetchErrors)
	send(loginsDesc, prometheus.CounterValue, s.Logins.Accepted, "accepted")
	send(loginsDesc, prometheus.CounterValue, s.Logins.Refused, "refused")
	send(loginsDesc, prometheus.CounterValue, s.Logins.Busy, "busy")
	send(loginsDesc, prometheus.CounterValue, s.Logins.Limited, "limited")
	send(waitingDesc, prometheus.GaugeValue, s.Logins.Waiting)
	durations(ch, verifiedDesc, s.Verified)
}
