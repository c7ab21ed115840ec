package relay

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// knowsNothing has the interest begin again, as that of the first subscriber does.
func (d *deaf) knowsNothing() {
	d.i.mu.Lock()
	defer d.i.mu.Unlock()
	clear(d.i.epochs)
}

// replay reads what came after a place, and returns the bodies.
func (d *deaf) replay(after driver.StreamPosition, each func(body string)) (bodies []string, result driver.ReplayResult) {
	d.t.Helper()
	result, err := d.histories.Replay(d.t.Context(), driver.ReplayRequest{History: "all", Pattern: d.i.pattern, After: after}, func(m *driver.Message) error {
		bodies = append(bodies, string(m.Body))
		if each != nil {
			each(string(m.Body))
		}
		return nil
	})
	require.NoError(d.t, err)
	return bodies, result
}

// TestAReplayMeetsWhatIsLive: a server that was cut off takes itself for the leader when its
// links are back, and says that its history ends before what others stored meanwhile. A
// subscriber that comes then is given all in between, whether its interest is new or not.
func TestAReplayMeetsWhatIsLive(t *testing.T) {
	t.Parallel()
	for name, isNew := range map[string]bool{"new interest": true, "interest of others": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeaf(t, 0)
			d.store(0)
			at := d.gets(0, false).Position
			d.stopHearing()
			if isNew {
				d.knowsNothing()
				d.i.arrived(d.live(at.Seq+3, at.Seq+2, "3")) // and 1 and 2 passed this node by
				d.gets(3, false)
			} else {
				for n := range 3 {
					d.i.arrived(d.live(at.Seq+uint64(n)+1, at.Seq+uint64(n), "others"))
				}
			}
			type answer struct {
				bodies []string
				result driver.ReplayResult
			}
			replayed := make(chan answer, 1)
			go func() {
				bodies, result := d.replay(at, nil)
				replayed <- answer{bodies, result}
			}()
			time.Sleep(backfillRetry / 2) // it has looked by then; where not, the test says less
			for body := range 3 {
				d.store(body + 1)
			}
			got := <-replayed
			require.Equal(t, []string{"1", "2", "3"}, got.bodies)
			require.False(t, got.result.Incomplete)

			// What is nowhere is reported.
			d.histories.staleWait = 0
			d.knowsNothing()
			at.Seq += 3
			d.i.arrived(d.live(at.Seq+3, at.Seq+2, "6"))
			bodies, result := d.replay(at, nil)
			require.Empty(t, bodies)
			require.True(t, result.Incomplete)
		})
	}
}

// TestANodeThatIsCutOffDoesNotTakeForLostWhatItCannotSee: it may be cut off for longer than a
// server takes itself for the leader, or again and again.
func TestANodeThatIsCutOffDoesNotTakeForLostWhatItCannotSee(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	d.store(0)
	at := d.gets(0, false).Position
	d.stopHearing()
	d.histories.staleWait = 4 * backfillRetry
	at.Seq++ // another node gave the client this one, which is not here yet
	replayed := make(chan driver.ReplayResult, 1)
	go func() {
		_, result := d.replay(at, nil)
		replayed <- result
	}()
	for cutOff := time.Now().Add(2 * d.histories.staleWait); time.Now().Before(cutOff); time.Sleep(time.Millisecond) {
		d.link.states.apply(jetStreamAnswered) // it is degraded, and not unavailable
		for range maxMisses {
			d.link.states.apply(jetStreamMissed)
		}
	}
	d.store(1)
	require.False(t, (<-replayed).Incomplete)
}

// TestAReplayMeetsWhatComesMeanwhile: the first live message of an interest comes during a
// replay that was to end before it.
func TestAReplayMeetsWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	for body := range 3 {
		d.store(body)
	}
	at := d.gets(0, false).Position
	d.stopHearing()
	d.knowsNothing()
	bodies, result := d.replay(at, func(body string) {
		if body == "2" {
			for body := range 3 {
				d.store(body + 3)
			}
			d.i.arrived(d.live(at.Seq+5, at.Seq+4, "5"))
		}
	})
	require.Equal(t, []string{"1", "2", "3", "4", "5"}, bodies)
	require.Equal(t, at.Seq+5, result.UpTo.Seq)
	require.False(t, result.Incomplete)
}

// TestWhatAReplayEndedBeforeIsDelivered: a server that was cut off answered a replay, so it
// ended early. What comes after it is for its subscriber, though it is older than the
// subscription, and though this node had noted that all up to later had arrived. What of it
// is gone is reported.
func TestWhatAReplayEndedBeforeIsDelivered(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"/topic/b", "/topic/*"} {
		for name, begin := range map[string]func(p *progress){
			"replayed":  func(p *progress) { p.baseline = 2 },
			"delivered": func(p *progress) { p.delivered = 2 },
			"both":      func(p *progress) { p.delivered, p.baseline = 1, 2 },
		} {
			for _, limit := range []int64{0, 2} {
				t.Run(pattern+" "+name+" "+strconv.FormatInt(limit, 10), func(t *testing.T) {
					t.Parallel()
					d := newDeaf(t, limit)
					for n := range 5 {
						d.storeAt("/topic/b", n+1)
					}
					h := d.histories.streams.all["all"]
					stream, err := d.histories.streams.nameOf(t.Context(), h)
					require.NoError(t, err)
					_, epoch := d.histories.streams.epochOf(stream)
					parsed, err := destination.ParsePattern(pattern)
					require.NoError(t, err)
					got := make(chan *driver.Message, 10)
					i := newInterest(d.histories, parsed, time.Now().Add(time.Hour).UnixMilli(), func(m *driver.Message) { got <- m })
					d.bus.mu.Lock()
					d.bus.interests[pattern] = i
					d.bus.mu.Unlock()
					i.mu.Lock()
					begin(i.progressLocked(epoch))
					i.mu.Unlock()
					first, from := 3, uint64(5)
					if limit > 0 {
						first = 4
					}
					if name != "replayed" && pattern == "/topic/b" {
						from = 3 // all that may be missing
					}
					repair := func() {
						require.True(t, d.histories.repairGaps(t.Context(), h, &historyCursor{link: d.link, stream: stream, subject: h.prefix + ".>", next: from, upTo: 5}))
					}
					repair()
					for n := first; n <= 5; n++ {
						m := receive(t, got)
						require.Equal(t, "/topic/b "+strconv.Itoa(n), string(m.Body))
						require.Equal(t, limit > 0 && n == first, m.Gap, n)
					}
					repair()
					require.Empty(t, got)
				})
			}
		}
	}
}
