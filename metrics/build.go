package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// Build returns the metric that says which version runs.
func Build(version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stompbox_build_info", Help: "Always 1; its labels say which version runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}
