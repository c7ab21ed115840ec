package bench

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMediansAreOfEachFigure(t *testing.T) {
	t.Parallel()
	c := MedianConnections([]Connections{{Connections: 5, RSS: 1, DeliveryCPU: 9}, {Connections: 5, RSS: 3, DeliveryCPU: 7}, {Connections: 5, RSS: 2, DeliveryCPU: 8}})
	assert.Equal(t, Connections{Connections: 5, RSS: 2, DeliveryCPU: 8}, c)
	s := MedianScale([]Scale{{Sessions: 5, OwnBytes: 1, RSS: 7}, {Sessions: 5, OwnBytes: 3, RSS: 9}, {Sessions: 5, OwnBytes: 2, RSS: 8}})
	assert.Equal(t, Scale{Sessions: 5, OwnBytes: 2, RSS: 9}, s, "and the largest of all memory")
}

func TestTheChartsOfScaleAreDrawn(t *testing.T) {
	t.Parallel()
	charts := ScaleCharts([]Scale{{Sessions: 1000, ConnectCPU: 30, SessionBytes: 2800}, {Sessions: 1_000_000, ConnectCPU: 40, SessionBytes: 2800}})
	for name, drawing := range ConnectionsCharts([]Connections{{Connections: 100, RSS: 20}, {Connections: 10_000, RSS: 16}}) {
		charts[name] = drawing
	}
	assert.Len(t, charts, 3)
	for name, drawing := range charts {
		assert.True(t, strings.HasSuffix(name, ".svg"))
		wellFormed(t, drawing)
	}
}
