// Package metrics shows the counts of a process to Prometheus: every collector of the
// project is here, and docs/operations.md explains each metric.
package metrics

import "github.com/prometheus/client_golang/prometheus"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("stompbox_"+name, help, labels, nil)
}
