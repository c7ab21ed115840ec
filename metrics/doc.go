// Package metrics shows the counts of a process to Prometheus: every collector of the
// project is here, and docs/metrics.md explains each metric.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stompbox/stompbox/internal/histogram"
)

// durations shows a histogram in seconds.
func durations(ch chan<- prometheus.Metric, d *prometheus.Desc, s histogram.Snapshot) {
	buckets := make(map[float64]uint64, len(s.Cumulative))
	for i, n := range s.Cumulative {
		buckets[histogram.Bounds[i].Seconds()] = n
	}
	ch <- prometheus.MustNewConstHistogram(d, s.Count, s.Sum.Seconds(), buckets)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("stompbox_"+name, help, labels, nil)
}
