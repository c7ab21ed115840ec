package gateway

import "github.com/prometheus/client_golang/prometheus"

var (
	hookRequestsDesc = desc("webhook_requests_total", "Requests to webhooks, by what became of them: answered, failed, or refused at once.", "webhook", "outcome")
	hookTriesDesc    = desc("webhook_tries_total", "Requests that were posted to webhooks, each try.", "webhook")
	hookOpenDesc     = desc("webhook_open", "1 while a webhook does not answer and requests to it fail at once.", "webhook")
)

// Webhooks are what one process has; they are a Prometheus collector.
type Webhooks []*Webhook

// Describe sends the descriptions of all metrics.
func (all Webhooks) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{hookRequestsDesc, hookTriesDesc, hookOpenDesc} {
		ch <- d
	}
}

// Collect sends the metrics as they are now.
func (all Webhooks) Collect(ch chan<- prometheus.Metric) {
	for _, w := range all {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, n int64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, kind, float64(n), append([]string{w.Name}, labels...)...)
		}
		send(hookRequestsDesc, prometheus.CounterValue, w.answered.Load(), "answered")
		send(hookRequestsDesc, prometheus.CounterValue, w.failed.Load(), "failed")
		send(hookRequestsDesc, prometheus.CounterValue, w.refused.Load(), "refused")
		send(hookTriesDesc, prometheus.CounterValue, w.tries.Load())
		open := int64(0)
		if w.breaker.open() {
			open = 1
		}
		send(hookOpenDesc, prometheus.GaugeValue, open)
	}
}

// Close ends their idle connections.
func (all Webhooks) Close() {
	for _, w := range all {
		w.Close()
	}
}
