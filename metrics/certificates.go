package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var certificateDesc = desc("certificate_expiry_timestamp_seconds", "When a certificate ends, as Unix time, by its setting, or by its domain where it is issued by ACME.", "certificate")

type certificateCollector func() map[string]time.Time

// Certificates returns when certificates end, as ends says for each.
func Certificates(ends func() map[string]time.Time) prometheus.Collector {
	return certificateCollector(ends)
}

func (c certificateCollector) Describe(ch chan<- *prometheus.Desc) { ch <- certificateDesc }

func (c certificateCollector) Collect(ch chan<- prometheus.Metric) {
	for name, at := range c() {
		ch <- prometheus.MustNewConstMetric(certificateDesc, prometheus.GaugeValue, float64(at.Unix()), name)
	}
}
