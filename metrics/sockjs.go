package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stompbox/stompbox/gateway"
)

var (
	sockJSSessionsDesc = desc("sockjs_sessions", "Sessions of SockJS over HTTP: open, or ended and not forgotten yet.")
	sockJSPendingDesc  = desc("sockjs_pending_sessions", "Sessions of SockJS over HTTP that have not connected.")
	sockJSBodiesDesc   = desc("sockjs_body_bytes", "Bytes of large messages of SockJS that are being read.")
	sockJSRefusedDesc  = desc("sockjs_refused_total", "Requests of SockJS that were refused, by the reason.", "reason")
)

type sockJS struct{ handler *gateway.SockJS }

// SockJS returns the metrics of a handler of SockJS.
func SockJS(h *gateway.SockJS) prometheus.Collector { return sockJS{h} }

func (c sockJS) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c sockJS) Collect(ch chan<- prometheus.Metric) {
	s := c.handler.Stats()
	for d, n := range map[*prometheus.Desc]int64{sockJSSessionsDesc: s.Sessions, sockJSPendingDesc: s.Pending, sockJSBodiesDesc: s.BodyBytes} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n))
	}
	for reason, n := range s.Refused {
		ch <- prometheus.MustNewConstMetric(sockJSRefusedDesc, prometheus.CounterValue, float64(n), reason)
	}
}
