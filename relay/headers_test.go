package relay

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// overWire returns a message as NATS carries it to another program, with the first
// line of its headers as the server sees them.
func overWire(t *testing.T, msg *nats.Msg) *nats.Msg {
	t.Helper()
	var b strings.Builder
	b.WriteString("NATS/1.0\r\n")
	for name, values := range msg.Header {
		require.NotContains(t, name, "\n")
		for _, value := range values {
			require.False(t, strings.ContainsAny(value, "\r\n"), "%q", value)
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	h, err := nats.DecodeHeadersMsg([]byte(b.String() + "\r\n"))
	require.NoError(t, err)
	return &nats.Msg{Subject: msg.Subject, Header: h, Data: msg.Data}
}

// ours are the names under which encode itself puts something.
var ours = []string{
	frames.Destination, frames.MessageID, frames.Session, driver.HeaderUser, driver.HeaderTimestamp,
	headerPacked, headerToSession, headerNoEcho, headerEncoded, headerVersion,
}

// FuzzHeaders: whatever a client's headers are called, they come back as they were, and
// travel under no name that NATS or a node gives a meaning to.
func FuzzHeaders(f *testing.F) {
	for _, name := range []string{"n", "", " ", "a:b", "a\r\nNats-TTL", "Nats-Stream", "nats-sequence", "NATS-Batch-Id", "Status", "status", "Description", "stompbox-encoded", "Stompbox-Session", "Nats%2DStream", "%4Eats-TTL", "User", "traceparent", "größe", "a=b", "a b", "\xff\x00"} {
		f.Add(name, "value", "alice")
		f.Add("n", name, name)
	}
	f.Fuzz(func(t *testing.T, name, value, user string) {
		headers := frames.Headers{{Name: name, Value: value}, {Name: "n", Value: "1"}, {Name: name, Value: "again"}, {Name: "empty"}}
		headers = slices.DeleteFunc(headers, func(h frames.Header) bool { return driver.IsStamped(h.Name) })
		m := &driver.Message{
			Key: "/user/a b/queue/x", Destination: "/user/queue/x", ID: value, User: user, Session: "s" + value, ToSession: name,
			Timestamp: 17, Headers: headers, Body: []byte(value),
		}
		msg := overWire(t, encode("p", m))
		for at := range msg.Header {
			require.True(t, slices.Contains(ours, at) || isPlainName(at), "%q", at)
		}
		got, ok := decode("p", msg, nil)
		require.True(t, ok)
		require.Equal(t, m, got)
	})
}

func TestFormerMessagesAreRead(t *testing.T) {
	t.Parallel()
	msg := &nats.Msg{Subject: "p.queue.a", Data: []byte("x"), Header: nats.Header{
		"stompbox-key": {"/queue/other"}, "destination": {"/queue/a"}, "message-id": {"m1"}, "timestamp": {"17"},
		"user": {"%20alice"}, "session": {"s1"}, "odd%20name": {"%0Avalue"}, "n": {"1"}, "stompbox-encoded": {"user,odd%20name"},
		"Nats-Msg-Id": {"id"}, "dead-letter-origin": {"/queue/b"}, "dead-letter-reason": {"why"}, "dead-letter-count": {"3"},
	}}
	got, ok := decode("p", msg, nil)
	require.True(t, ok)
	slices.SortFunc(got.Headers, func(a, b frames.Header) int { return strings.Compare(a.Name, b.Name) })
	require.Equal(t, &driver.Message{
		Key: "/queue/a", Destination: "/queue/a", ID: "m1", Timestamp: 17, User: " alice", Session: "s1",
		Headers: frames.Headers{{Name: "n", Value: "1"}, {Name: "odd name", Value: "\nvalue"}}, Body: []byte("x"),
		Dead: &driver.DeadLetter{Origin: "/queue/b", Reason: "why", Count: 3},
	}, got)

	// What a client claimed in that format does not change who it was.
	msg.Header["user"], msg.Header["stompbox-encoded"] = []string{"adm%69n"}, []string{"user"}
	got, ok = decode("p", msg, nil)
	require.True(t, ok)
	require.Equal(t, "adm%69n", got.User)
}

func TestNativeProgramsSayNoMoreThanTheyMay(t *testing.T) {
	t.Parallel()
	msg := &nats.Msg{Subject: "p.topic.a", Data: []byte("x"), Header: nats.Header{
		"message-id": {"m1"}, "timestamp": {"17"}, "user": {"adm%69n"}, "n": {"%41", "second"},
		"destination": {"/topic/b"}, "session": {"s1"}, "stompbox-session": {"s2"}, "stompbox-no-echo": {"true"}, "stompbox-encoded": {"user,n"},
		"dead-letter-origin": {"/queue/b"}, "Nats-TTL": {"1s"}, "nats-msg-id": {"1"}, "Status": {"503"}, "replay": {"incomplete"}, "subscription": {"1"},
	}}
	got, ok := decode("p", msg, nil)
	require.True(t, ok)
	require.Equal(t, &driver.Message{
		Key: "/topic/a", Destination: "/topic/a", ID: "m1", Timestamp: 17, User: "adm%69n",
		Headers: frames.Headers{{Name: "n", Value: "%41"}}, Body: []byte("x"),
	}, got)
}

// TestMessageIDsOfNativeProgramsEndNoLine: what could not be one field of an event, or one id of a
// list, is as if it were missing.
func TestMessageIDsOfNativeProgramsEndNoLine(t *testing.T) {
	t.Parallel()
	made := func() string { return "made" }
	for id, want := range map[string]string{
		"a b:c%\u00e9": "a b:c%\u00e9", strings.Repeat("x", maxNativeID): strings.Repeat("x", maxNativeID),
		"": "made", "a\rdata: b": "made", "a\nb": "made", "a\x00": "made", "a,b": "made", " a": "made", strings.Repeat("x", maxNativeID+1): "made",
	} {
		got, ok := decode("p", &nats.Msg{Subject: "p.topic.a", Header: nats.Header{"message-id": {id}}}, made)
		require.True(t, ok)
		require.Equal(t, want, got.ID)
	}
}

func TestDedupIDsOfDifferentQueuesDiffer(t *testing.T) {
	t.Parallel()
	ids := make(map[string]bool)
	for _, pair := range [][2]string{{"/queue/a", "b c"}, {"/queue/a b", "c"}, {"/queue/a%20b", "c"}, {"/queue/a", "b%20c"}} {
		for _, user := range []string{"ann", "ann /queue/a", "ben"} {
			ids[dedupID(user, pair[0], driver.StoreOptions{DedupID: pair[1]})] = true
		}
		ids[dedupID("ann", pair[0], driver.StoreOptions{DedupID: pair[1], Internal: true})] = true
		ids[dedupID("ben", pair[0], driver.StoreOptions{DedupID: pair[1], Internal: true})] = true
	}
	require.Len(t, ids, 4*3+4)
}
