package bench

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

func TestMain(m *testing.M) { local.CheckLeaks(m) }

// TestScaleMeasuresEverything runs all steps, which check every frame that is sent.
func TestScaleMeasuresEverything(t *testing.T) {
	t.Parallel()
	r, err := MeasureScale(t.Context(), 300, 100*time.Millisecond, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 300, r.Sessions)
	for name, figure := range map[string]float64{
		"connects": r.ConnectsPS, "bytes": r.SessionBytes, "publish": r.PublishMS, "reconnect": r.ReconnectSecond, "RSS": float64(r.RSS),
	} {
		assert.Positive(t, figure, name)
	}
}

// TestASimulatedClientChecksWhatComes: a benchmark that loses messages must not look fast.
func TestASimulatedClientChecksWhatComes(t *testing.T) {
	t.Parallel()
	frame := func(stomp string) []byte { return webSocket{}.Frame(nil, []byte(stomp), true) }
	for name, test := range map[string]struct {
		frames []string
		wrong  string
	}{
		"in order":      {[]string{"MESSAGE\na:b\n\n0 x\x00", "MESSAGE\na:b\n\n1 x\x00", "\n"}, ""},
		"one missing":   {[]string{"MESSAGE\na:b\n\n0 x\x00", "MESSAGE\na:b\n\n2 x\x00"}, "client 7 was sent message 2 in place of 1"},
		"one twice":     {[]string{"MESSAGE\na:b\n\n0 x\x00", "MESSAGE\na:b\n\n0 x\x00"}, "client 7 was sent message 0 in place of 1"},
		"an error":      {[]string{"ERROR\nmessage:no\n\n\x00"}, `client 7 was sent "ERROR\nmessage:no\n\n\x00"`},
		"a long header": {[]string{"MESSAGE\na:" + string(make([]byte, 200)) + "\n\n0 x\x00"}, ""},
	} {
		c := client{seen: new(seen), number: 7}
		for _, f := range test.frames {
			c.WriteNow([][]byte{frame(f)})
		}
		wrong := ""
		if w := c.seen.wrong.Load(); w != nil {
			wrong = *w
		}
		assert.Equal(t, test.wrong, wrong, name)
	}
}

// TestWorkThatIsLateFollowsAtOnce: idle sessions whose heart-beats were held up get those that were
// due meanwhile.
func TestWorkThatIsLateFollowsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, parts := time.Now(), 0
		require.NoError(t, inTime(t.Context(), 10*time.Second, 100, func(int) error {
			if parts++; parts == 10 {
				time.Sleep(5 * time.Second)
			}
			return nil
		}))
		assert.Equal(t, 100, parts)
		assert.Equal(t, 10*time.Second, time.Since(start))
	})
}
