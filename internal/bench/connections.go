package bench

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Connections is what a number of real WebSockets costs the nodes that have them. CPU is
// that of the nodes alone.
type Connections struct {
	Connections     int
	ConnectCPU      float64 // microseconds
	ConnectsPS      float64
	RSS             float64 // KB a connection
	Kernel          float64 // KB of socket buffers a connection, both ends
	DeliveryCPU     float64 // microseconds, one message at a time
	PublishMS       float64 // until all have it
	IdleCPU         float64 // microseconds of a connection and second
	ReconnectCPU    float64 // microseconds
	ReconnectSecond float64
}

func (c *Connections) figures() []*float64 {
	return []*float64{
		&c.ConnectCPU, &c.ConnectsPS, &c.RSS, &c.Kernel, &c.DeliveryCPU, &c.PublishMS, &c.IdleCPU, &c.ReconnectCPU, &c.ReconnectSecond,
	}
}

// MedianConnections takes the median of each figure of rounds with equally many connections.
func MedianConnections(rounds []Connections) Connections {
	return medians(rounds, (*Connections).figures)
}

// ConnectionsCharts draws what a connection costs over how many there are, by file name.
func ConnectionsCharts(all []Connections) map[string]string {
	x := make([]float64, len(all))
	pick := func(figure func(*Connections) float64) []float64 {
		values := make([]float64, len(all))
		for i := range all {
			x[i] = float64(all[i].Connections)
			values[i] = figure(&all[i])
		}
		return values
	}
	series := []Series{
		{"connect, us", pick(func(c *Connections) float64 { return c.ConnectCPU })},
		{"reconnect, us", pick(func(c *Connections) float64 { return c.ReconnectCPU })},
		{"delivery, us", pick(func(c *Connections) float64 { return c.DeliveryCPU })},
		{"a second idle, us", pick(func(c *Connections) float64 { return c.IdleCPU })},
		{"memory, KB", pick(func(c *Connections) float64 { return c.RSS })},
	}
	return map[string]string{"scale-connections.svg": Lines("What a real WebSocket costs, by how many a node has", "connections", "us of CPU, and KB", x, series)}
}

// PerUnit is microseconds for each of n.
func PerUnit(cpu time.Duration, n int) float64 {
	return float64(cpu.Nanoseconds()) / 1e3 / float64(n)
}

// SocketMemory returns the bytes of all TCP buffers of this machine, of which the kernel
// knows no more than the pages.
func SocketMemory() int64 {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0
	}
	_, value, _ := strings.Cut(string(text), "TCP: ")
	fields := strings.Fields(value)
	for i := 0; i+1 < len(fields); i++ {
		if fields[i] == "mem" {
			pages, _ := strconv.ParseInt(fields[i+1], 10, 64)
			return pages * int64(os.Getpagesize())
		}
	}
	return 0
}
