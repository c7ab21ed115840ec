package metrics

import "github.com/prometheus/client_golang/prometheus"

// Listeners counts connections that listeners refuse before there is a request or a session. It is
// safe for concurrent use.
type Listeners struct{ headers, handshakes *prometheus.CounterVec }

// NewListeners returns counters that are 0.
func NewListeners() *Listeners {
	count := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stompbox_" + name, Help: help}, []string{"listener", "reason"})
	}
	l := &Listeners{
		headers:    count("proxy_headers_refused_total", "Connections of trusted proxies that were closed for their PROXY header, by listener and reason (missing, malformed)."),
		handshakes: count("tls_handshakes_failed_total", "TLS handshakes that failed, by listener and reason: see docs/operations.md."),
	}
	for _, listener := range []string{"http", "stomp"} { // as 0 is what to see of a right setup
		for _, reason := range []string{"missing", "malformed"} {
			l.headers.WithLabelValues(listener, reason)
		}
	}
	return l
}

// HeaderRefused counts a PROXY header.
func (l *Listeners) HeaderRefused(listener, reason string) {
	l.headers.WithLabelValues(listener, reason).Inc()
}

// HandshakeFailed counts a TLS handshake.
func (l *Listeners) HandshakeFailed(listener, reason string) {
	l.handshakes.WithLabelValues(listener, reason).Inc()
}

// Describe implements [prometheus.Collector].
func (l *Listeners) Describe(ch chan<- *prometheus.Desc) {
	l.headers.Describe(ch)
	l.handshakes.Describe(ch)
}

// Collect implements [prometheus.Collector].
func (l *Listeners) Collect(ch chan<- prometheus.Metric) {
	l.headers.Collect(ch)
	l.handshakes.Collect(ch)
}
