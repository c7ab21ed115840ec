package metrics

import "github.com/prometheus/client_golang/prometheus"

var (
	connectionLimitDesc    = desc("connection_limit", "Connections that the limit of open files leaves room for; 0: no limit.")
	connectionsRefusedDesc = desc("connections_refused_total", "Connections over HTTP that were refused, as there were as many as the limit of open files allows.")
)

// ConnectionCounter bounds the connections of a process.
type ConnectionCounter interface {
	RefusedConnections() int64
	ConnectionLimit() int64
}

type connections struct{ ConnectionCounter }

// Connections returns the metrics of the bound on connections.
func Connections(c ConnectionCounter) prometheus.Collector { return connections{c} }

func (c connections) Describe(ch chan<- *prometheus.Desc) {
	ch <- connectionLimitDesc
	ch <- connectionsRefusedDesc
}

func (c connections) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(connectionLimitDesc, prometheus.GaugeValue, float64(c.ConnectionLimit()))
	ch <- prometheus.MustNewConstMetric(connectionsRefusedDesc, prometheus.CounterValue, float64(c.RefusedConnections()))
}
