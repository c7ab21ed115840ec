package bench

// figures are those of a Scale that a median is taken of.
func (s *Scale) figures() []*float64 {
	return []*float64{
		&s.ConnectCPU, &s.ConnectsPS, &s.SessionBytes, &s.DeliveryCPU, &s.PublishMS, &s.SubscribeCPU,
		&s.UnsubscribeCPU, &s.OwnBytes, &s.IdleCPU, &s.ReconnectCPU, &s.ReconnectSecond,
	}
}

// MedianScale takes the median of each figure of rounds with equally many sessions.
func MedianScale(rounds []Scale) Scale {
	result := medians(rounds, (*Scale).figures)
	for _, r := range rounds {
		result.RSS = max(result.RSS, r.RSS)
	}
	return result
}

// ScaleCharts draws what a session costs over how many there are, by file name.
func ScaleCharts(all []Scale) map[string]string {
	x := make([]float64, len(all))
	pick := func(figure func(*Scale) float64) []float64 {
		values := make([]float64, len(all))
		for i := range all {
			values[i] = figure(&all[i])
		}
		return values
	}
	for i := range all {
		x[i] = float64(all[i].Sessions)
	}
	return map[string]string{
		"scale-cpu.svg": Lines("CPU of one operation, by how many sessions a node has (simulated)", "sessions", "microseconds of CPU", x, []Series{
			{"connect", pick(func(s *Scale) float64 { return s.ConnectCPU })},
			{"reconnect", pick(func(s *Scale) float64 { return s.ReconnectCPU })},
			{"subscribe", pick(func(s *Scale) float64 { return s.SubscribeCPU })},
			{"unsubscribe", pick(func(s *Scale) float64 { return s.UnsubscribeCPU })},
			{"delivery", pick(func(s *Scale) float64 { return s.DeliveryCPU })},
			{"a second idle", pick(func(s *Scale) float64 { return s.IdleCPU })},
		}),
		"scale-memory.svg": Lines("Live memory, by how many sessions a node has (simulated)", "sessions", "bytes", x, []Series{
			{"a session with one subscription", pick(func(s *Scale) float64 { return s.SessionBytes })},
			{"a destination of its own", pick(func(s *Scale) float64 { return s.OwnBytes })},
		}),
	}
}
