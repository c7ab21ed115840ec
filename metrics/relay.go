package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stompbox/stompbox/relay"
)

type relayCollector struct{ relay *relay.Relay }

// Relay returns the metrics of r.
func Relay(r *relay.Relay) prometheus.Collector { return relayCollector{r} }

var (
	lostDesc      = desc("relay_lost_total", "Messages that could not be written to NATS, such as over a link that is slow.")
	newerDesc     = desc("relay_newer_total", "Messages of a newer version of stompbox, which this node cannot read.")
	filledDesc    = desc("history_filled_total", "Messages that did not arrive and were fetched from their history.")
	recordsDesc   = desc("idempotency_records_removed_total", "Records of Idempotency-Keys that were removed to make room for others, of the users who had most.")
	nodesDesc     = desc("nodes", "Other nodes that are known.")
	conflictsDesc = desc("node_name_conflicts", "Names that more than one live node has.")
	readyDesc     = desc("relay_ready", "1 while NATS can be reached and JetStream can keep messages.")
)

func (c relayCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c relayCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.relay.Stats()
	ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(s.Lost))
	ch <- prometheus.MustNewConstMetric(newerDesc, prometheus.CounterValue, float64(s.Newer))
	ch <- prometheus.MustNewConstMetric(filledDesc, prometheus.CounterValue, float64(s.Filled))
	ch <- prometheus.MustNewConstMetric(recordsDesc, prometheus.CounterValue, float64(s.RecordsRemoved))
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(s.Nodes))
	ch <- prometheus.MustNewConstMetric(conflictsDesc, prometheus.GaugeValue, float64(s.NameConflicts))
	ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, float64(oneIf(s.Ready)))
}
