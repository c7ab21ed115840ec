package bench

import (
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wellFormed returns the texts of a drawing.
func wellFormed(t *testing.T, drawing string) string {
	t.Helper()
	var texts strings.Builder
	for d := xml.NewDecoder(strings.NewReader(drawing)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return texts.String()
		}
		require.NoError(t, err)
		if text, ok := token.(xml.CharData); ok {
			texts.Write(text)
			texts.WriteByte('|')
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	drawing := Lines("Cost <each>", "sessions", "us", []float64{1000, 10_000, 1_000_000}, []Series{
		{"level", []float64{2, 2, 2}}, {"not measured at the end", []float64{1, 3, math.NaN()}},
	})
	texts := wellFormed(t, drawing)
	for _, want := range []string{"Cost <each>|", "|1000|", "|10k|", "|1M|", "level|", "sessions|", "us|"} {
		assert.Contains(t, texts, want)
	}
	assert.NotContains(t, drawing, "NaN")
	assert.Equal(t, 5, strings.Count(drawing, "<circle"), "a point for each figure")
	_, level, _ := strings.Cut(drawing, `points="`)
	level, _, _ = strings.Cut(level, `"`)
	heights := map[string]bool{}
	for point := range strings.FieldsSeq(level) {
		_, y, _ := strings.Cut(point, ",")
		heights[y] = true
	}
	assert.Len(t, heights, 1, "equal figures are on one level: %s", level)
}

func TestBars(t *testing.T) {
	t.Parallel()
	drawing := Bars("Memory", []string{"stompbox", "A & B"}, []Series{{"KB", []float64{10, 20}}}, false, Short)
	assert.Contains(t, wellFormed(t, drawing), "A & B|")
	assert.Contains(t, drawing, `width="225.0"`)
	assert.Contains(t, drawing, `width="450.0"`)
	groups := Bars("Share", []string{"drop"}, []Series{{"ours", []float64{100}}, {"theirs", []float64{math.NaN()}}}, false, Short)
	assert.NotContains(t, groups, "NaN")
	assert.Contains(t, wellFormed(t, groups), "theirs|")
}

func TestShort(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 0.475: "0.475", 8.5: "8.5", 16.25: "16.2", 123.4: "123", 5300: "5300", 34_300: "34.3k", 1e6: "1M", 0.01: "0.01"} {
		assert.Equal(t, want, Short(v))
	}
}
