package metrics

import "github.com/prometheus/client_golang/prometheus"

var originsDesc = desc("origins_refused_total", "Requests of pages whose origin is not allowed, by transport.", "transport")

// OriginChecker is a transport that refuses pages for their origin.
type OriginChecker interface{ RefusedOrigins() int64 }

type origins map[string]OriginChecker

// Origins returns the metrics of transports by their names.
func Origins(byName map[string]OriginChecker) prometheus.Collector { return origins(byName) }

func (o origins) Describe(ch chan<- *prometheus.Desc) { ch <- originsDesc }

func (o origins) Collect(ch chan<- prometheus.Metric) {
	for name, checker := range o {
		ch <- prometheus.MustNewConstMetric(originsDesc, prometheus.CounterValue, float64(checker.RefusedOrigins()), name)
	}
}
