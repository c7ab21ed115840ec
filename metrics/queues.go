package metrics

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stompbox/stompbox/broker/driver"
)

var (
	totalDesc  = desc("stored_queues", "Queues of the store that have messages or consumers, on all nodes together.")
	depthDesc  = desc("queue_messages", "Messages of the largest queues, those that consumers hold included; the same on all nodes.", "queue")
	heldDesc   = desc("queue_held_messages", "Messages of the largest queues that consumers hold, or gave back and were not delivered again; the same on all nodes.", "queue")
	ageDesc    = desc("queue_oldest_message_age_seconds", "Age of the oldest message of the largest queues; the same on all nodes.", "queue")
	restDesc   = desc("other_queues_messages", "Messages of all queues that are not among the largest; the same on all nodes.")
	queuesDown = desc("queue_metrics_failed_total", "Times that the store did not answer in time for the metrics of queues.")
)

const (
	// queuesFreshFor is for how long what the store said is shown again: listing queues
	// is work for it, and every node asks.
	queuesFreshFor = 10 * time.Second
	// queuesTimeout bounds how long a scrape waits for the store.
	queuesTimeout = 3 * time.Second
)

// queueCollector shows the largest queues.
type queueCollector struct {
	admin driver.QueueAdmin
	max   int

	mu     sync.Mutex // guards the following; held while the store is asked, so that it is asked once
	asked  time.Time
	all    []driver.QueueInfo // the largest first; nil: the store did not answer
	oldest map[string]time.Time
	failed int64
}

// Queues returns the metrics of the queues that have the most messages, up to so many,
// and of the others together.
func Queues(admin driver.QueueAdmin, limit int) prometheus.Collector {
	return &queueCollector{admin: admin, max: limit}
}

func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{totalDesc, depthDesc, heldDesc, ageDesc, restDesc, queuesDown} {
		ch <- d
	}
}

func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refreshLocked()
	ch <- prometheus.MustNewConstMetric(queuesDown, prometheus.CounterValue, float64(c.failed))
	if c.all == nil {
		return
	}
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	rest := uint64(0)
	for i, q := range c.all {
		if i >= c.max {
			rest += q.Messages
			continue
		}
		gauge(depthDesc, float64(q.Messages), q.Name)
		gauge(heldDesc, float64(q.Held), q.Name)
		age := 0.0
		if at, ok := c.oldest[q.Name]; ok {
			age = max(time.Since(at).Seconds(), 0)
		}
		gauge(ageDesc, age, q.Name)
	}
	gauge(totalDesc, float64(len(c.all)))
	gauge(restDesc, float64(rest))
}

// refreshLocked asks the store, unless that was done lately.
func (c *queueCollector) refreshLocked() {
	if time.Since(c.asked) < queuesFreshFor {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), queuesTimeout)
	defer cancel()
	defer func() { c.asked = time.Now() }()
	all, err := c.admin.ListQueues(ctx)
	if err != nil {
		c.failed++
		c.all = nil
		return
	}
	slices.SortFunc(all, func(a, b driver.QueueInfo) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Name, b.Name))
	})
	c.all, c.oldest = append([]driver.QueueInfo{}, all...), make(map[string]time.Time)
	for _, q := range all[:min(c.max, len(all))] {
		if q.Messages == 0 {
			continue
		}
		if at, err := c.admin.Oldest(ctx, q.Name); err == nil && !at.IsZero() {
			c.oldest[q.Name] = at
		}
	}
}
