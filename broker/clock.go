package broker

import "time"

// clock counts nanoseconds since the broker began; zero is never returned.
type clock struct{ start time.Time }

func newClock() *clock { return &clock{start: time.Now().Add(-time.Second)} }

func (c *clock) now() int64 { return int64(time.Since(c.start)) }

// at is the time of day of a count.
func (c *clock) at(now int64) time.Time { return c.start.Add(time.Duration(now)) }
