package relay

import "github.com/prometheus/client_golang/prometheus"

// collector shows a relay's counts to Prometheus.
type collector struct{ relay *Relay }

// NewCollector returns the metrics of r; docs/operations.md explains each.
func NewCollector(r *Relay) prometheus.Collector { return collector{r} }

var (
	lostDesc   = prometheus.NewDesc("stompbox_relay_lost_total", "Messages that could not be written to NATS, such as over a link that is slow.", nil, nil)
	filledDesc = prometheus.NewDesc("stompbox_history_filled_total", "Messages that did not arrive and were fetched from their history.", nil, nil)
	nodesDesc  = prometheus.NewDesc("stompbox_nodes", "Other nodes that are known.", nil, nil)
	readyDesc  = prometheus.NewDesc("stompbox_relay_ready", "1 while NATS can be reached and JetStream can keep messages.", nil, nil)
)

func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.relay.Stats()
	ready := 0.0
	if s.Ready {
		ready = 1
	}
	ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(s.Lost))
	ch <- prometheus.MustNewConstMetric(filledDesc, prometheus.CounterValue, float64(s.Filled))
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(s.Nodes))
	ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready)
}
