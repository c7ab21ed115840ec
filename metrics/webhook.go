package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stompbox/stompbox/webhook"
)

var (
	hookRequestsDesc = desc("webhook_requests_total", "Requests to webhooks, by what became of them: answered, failed, or refused at once.", "webhook", "outcome")
	hookTriesDesc    = desc("webhook_tries_total", "Requests that were posted to webhooks, each try.", "webhook")
	hookOpenDesc     = desc("webhook_open", "1 while a webhook does not answer and requests to it fail at once.", "webhook")
)

type webhooks []*webhook.Webhook

// Webhooks returns the metrics of all webhooks of a process.
func Webhooks(all ...*webhook.Webhook) prometheus.Collector { return webhooks(all) }

func (all webhooks) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{hookRequestsDesc, hookTriesDesc, hookOpenDesc} {
		ch <- d
	}
}

func (all webhooks) Collect(ch chan<- prometheus.Metric) {
	for _, w := range all {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, n int64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, kind, float64(n), append([]string{w.Name}, labels...)...)
		}
		s := w.Stats()
		send(hookRequestsDesc, prometheus.CounterValue, s.Answered, "answered")
		send(hookRequestsDesc, prometheus.CounterValue, s.Failed, "failed")
		send(hookRequestsDesc, prometheus.CounterValue, s.Refused, "refused")
		send(hookTriesDesc, prometheus.CounterValue, s.Tries)
		send(hookOpenDesc, prometheus.GaugeValue, oneIf(s.Open))
	}
}
