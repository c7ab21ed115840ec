package top

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/internal/printable"
)

var start = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

// samples are two of one cluster, two seconds apart.
func samples() (before, now *Sample) {
	before = &Sample{
		At: start.Add(time.Hour),
		Nodes: []admin.NodeInfo{
			{ID: "1", Name: "n1", Started: start, Received: 100, Delivered: 1000, Dropped: 5, ReceivedBytes: 1 << 10, SentBytes: 1 << 20},
			{ID: "2", Name: "n2", Started: start, Received: 100, Delivered: 1000, SentBytes: 1 << 20},
		},
		Sessions: []admin.SessionInfo{
			{ID: "a", Node: "n1", User: "alice", Connected: start, ReceivedBytes: 1000, SentBytes: 0},
			{ID: "b", Node: "n2", User: "bob", Connected: start, SentBytes: 1 << 20},
		},
	}
	now = &Sample{
		At: start.Add(time.Hour + 2*time.Second),
		Nodes: []admin.NodeInfo{
			{ID: "1", Name: "n1", Started: start, Sessions: 2, Subscriptions: 3, Received: 101, Delivered: 81000, Dropped: 5, ReceivedBytes: 5 << 10, SentBytes: 3 << 20},
			{ID: "2", Name: "n2", Started: start.Add(time.Hour + time.Second), Draining: true, Sessions: 2, Received: 50, Delivered: 50},
		},
		Sessions: []admin.SessionInfo{
			{ID: "a", Node: "n1", User: "alice", Connected: start, ReceivedBytes: 9000, SentBytes: 0, QueuedBytes: 2048, Writing: 65},
			{ID: "b", Node: "n2", User: "bob", Connected: start, SentBytes: 3 << 20, QueuedBytes: 4096},
			{ID: "c", Node: "n2", User: "carl\x1b[31m\n", Connected: start.Add(time.Hour + time.Second), ReceivedBytes: 512},
			{ID: "d", Node: "n2", User: "dora", Connected: start},
		},
		Missing: []string{"n3"},
		Lost:    []admin.LostNode{{Name: "n4", Since: start.Add(time.Hour + 2*time.Second - 5*time.Minute)}},
	}
	return before, now
}

// words are the fields of each line.
func words(lines []string) (all [][]string) {
	for _, line := range lines {
		all = append(all, strings.Fields(line))
	}
	return all
}

// TestAPageSaysThatANodeIsNotReady, as its /readyz does.
func TestAPageSaysThatANodeIsNotReady(t *testing.T) {
	t.Parallel()
	before, now := samples()
	now.Nodes[0].NotReady = "NATS or its JetStream is out of reach"
	now.Nodes[1].NotReady = "draining"
	lines := Page{Order: BySlowest}.Lines(before, now)
	require.Contains(t, lines[4], "not ready")
	require.NotContains(t, lines[4], "serving")
	require.Contains(t, lines[5], "draining")
}

func TestAPageHasRatesSinceTheSampleBefore(t *testing.T) {
	t.Parallel()
	before, now := samples()
	require.Equal(t, [][]string{
		strings.Fields("stompbox NO ANSWER FROM n3 13:00:02 2 nodes 4 sessions 3 subscriptions"),
		strings.Fields("received 50/s delivered 40.0k/s dropped 0/s in 2.0K/s out 1.0M/s"), // n2 began again a second ago
		{},
		strings.Fields("NODE UP STATE SESSIONS SUBSCRIPTIONS RECEIVED/s DELIVERED/s DROPPED/s IN/s OUT/s"),
		strings.Fields("n1 1h0m serving 2 3 0.5 40.0k 0 2.0K 1.0M"),
		strings.Fields("n2 1s draining 2 0 50 50 0 0 0"),
		strings.Fields("n3 - no answer - - - - - - -"),
		strings.Fields("n4 - lost since 5m0s - - - - - - -"),
		{},
		strings.Fields("USER WAITING STUCK IN/s OUT/s AGE TRANSPORT NODE REMOTE SESSION"),
		strings.Fields("alice 2.0K 1m5s 3.9K 0 1h0m n1 a"),
		strings.Fields("bob 4.0K - 0 1.0M 1h0m n2 b"),
		strings.Fields(`carl\x1b[31m\n 0 - 512 0 1s n2 c`), // it came after the sample before
		strings.Fields("dora 0 - - - 1h0m n2 d"),           // it was not among those that were listed
	}, words(Page{Order: BySlowest}.Lines(before, now)))
}

func TestTheFirstSampleHasNoRates(t *testing.T) {
	t.Parallel()
	_, now := samples()
	lines := words(Page{Order: BySlowest}.Lines(new(Sample), now))
	require.Equal(t, strings.Fields("received -/s delivered -/s dropped -/s in -/s out -/s"), lines[1])
	require.Equal(t, strings.Fields("alice 2.0K 1m5s - - 1h0m n1 a"), lines[10])
}

func TestOrdersOfSessions(t *testing.T) {
	t.Parallel()
	for order, want := range map[Order]string{BySlowest: "abcd", ByIn: "acbd", ByOut: "bacd", ByUser: "abcd"} {
		before, now := samples()
		var got string
		for _, line := range words(Page{Order: order}.Lines(before, now))[10:] {
			got += line[len(line)-1]
		}
		require.Equal(t, want, got, order)
	}
	_, err := ParseOrder("fastest")
	require.EqualError(t, err, "--order fastest: use slowest, in, out or user")
}

// TestAPageFitsItsScreen, however small that is.
func TestAPageFitsItsScreen(t *testing.T) {
	t.Parallel()
	before, now := samples()
	now.Sessions[0].User, now.Nodes[0].Name = strings.Repeat("日本", 20), "中文"
	for height := 1; height < 20; height++ {
		for _, width := range []int{1, 20, 200} {
			lines := Page{Order: BySlowest, Width: width, Height: height}.Lines(before, now)
			require.LessOrEqual(t, len(lines), height)
			for _, line := range lines {
				require.LessOrEqual(t, printable.Width(line), width)
			}
		}
	}
	require.Len(t, Page{Order: BySlowest, Sessions: 1}.Lines(before, now), 11)
}

// TestAnOutageIsSeenFirst: no rate of before is shown as one of now, and no node as serving.
func TestAnOutageIsSeenFirst(t *testing.T) {
	t.Parallel()
	before, now := samples()
	for _, width := range []int{60, 80, 0} {
		lines := Page{Order: BySlowest, Width: width, Outage: &Outage{For: 12 * time.Second, Cause: "no program listens there"}}.Lines(before, now)
		require.Equal(t, "stompbox  NO ANSWER since 12s: no program listens there", lines[0])
		require.True(t, strings.HasPrefix(lines[1], "before that, at 13:00:02  2 nodes  4 sessions"), lines[1])
		text := strings.Join(lines, "\n")
		require.NotContains(t, text, "serving")
		require.NotContains(t, text, "40.0k")
		require.NotContains(t, text, "3.9K")
		require.Regexp(t, `(?m)^n1 .*no answer +`, text)
	}
}

// TestColumnsThatDoNotFitAreLeftOut as a whole, those first that say the least.
func TestColumnsThatDoNotFitAreLeftOut(t *testing.T) {
	t.Parallel()
	before, now := samples()
	for i := range now.Sessions {
		now.Sessions[i].Remote, now.Sessions[i].Transport = "192.0.2.17:54321", "websocket"
	}
	for width, want := range map[int][2]string{
		200: {"NODE UP STATE SESSIONS SUBSCRIPTIONS RECEIVED/s DELIVERED/s DROPPED/s IN/s OUT/s", "USER WAITING STUCK IN/s OUT/s AGE TRANSPORT NODE REMOTE SESSION"},
		80:  {"NODE STATE SESSIONS RECEIVED/s DELIVERED/s DROPPED/s IN/s OUT/s", "USER WAITING STUCK IN/s OUT/s NODE REMOTE SESSION"},
		60:  {"NODE STATE DELIVERED/s DROPPED/s OUT/s", "USER WAITING STUCK IN/s OUT/s NODE SESSION"},
		30:  {"NODE STATE", "USER WAITING STUCK"},
		5:   {"NODE", "USER"},
	} {
		lines := words(Page{Order: BySlowest, Width: width}.Lines(before, now))
		require.Equal(t, strings.Fields(want[0]), lines[3], width)
		require.Equal(t, strings.Fields(want[1]), lines[9], width)
	}
}

func TestOneOfAThingIsNotSeveral(t *testing.T) {
	t.Parallel()
	now := &Sample{At: time.Date(2026, 1, 2, 13, 0, 0, 0, time.UTC)}
	require.Contains(t, Page{}.summary(now, now)[0], "13:00:00  0 nodes  0 sessions  0 subscriptions")
	now.Nodes = []admin.NodeInfo{{Sessions: 1, Subscriptions: 1}}
	require.Contains(t, Page{}.summary(now, now)[0], "13:00:00  1 node  1 session  1 subscription")
}
