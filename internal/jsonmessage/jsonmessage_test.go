package jsonmessage_test

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/jsonmessage"
)

// TestLongListsAndHeadersAreRefusedWhileTheyAreRead: what is beyond a limit takes no
// memory.
func TestLongListsAndHeadersAreRefusedWhileTheyAreRead(t *testing.T) {
	const one = `{"destination":"/topic/a"}`
	many := "[" + strings.Repeat(one+",", 1_000_000) + one + "]"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := decode(many, 1000)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, jsonmessage.ErrTooMany)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))

	message := `{"destination":"/topic/a","headers":{"h0":"","h":""}}`
	_, err = decode("["+strings.Repeat(message+",", 50_000)+message+"]", 1_000_000)
	require.EqualError(t, err, "headers: the messages of a list may have 100000")

	var m jsonmessage.Message
	err = json.Unmarshal([]byte(`{"headers":{`+strings.Repeat(`"a":"b",`, 3)+`"c":"d"}}`), &m)
	require.NoError(t, err)
	require.Equal(t, jsonmessage.Headers{"a": "b", "c": "d"}, m.Headers)
	var pairs []string
	for i := range 1001 {
		pairs = append(pairs, fmt.Sprintf(`"h%d":""`, i))
	}
	for _, headers := range []string{strings.Join(pairs, ","), strings.Repeat(`"a":"",`, 1000) + `"a":""`} {
		require.ErrorContains(t, json.Unmarshal([]byte(`{"headers":{`+headers+`}}`), &m), "a message may have 1000")
	}
	require.ErrorContains(t, json.Unmarshal([]byte(`{"headers":{"a":{"b":"c"}}}`), &m), "has to be a string")
	require.ErrorContains(t, json.Unmarshal([]byte(`{"headers":["a"]}`), &m), "object of strings")

	list, err := decode(`[{"destination":"/topic/a"},{"destination":"/topic/b","body":"b"}]`, 2)
	require.NoError(t, err)
	require.Equal(t, []broker.Publication{{Destination: "/topic/a", Headers: frames.Headers{}}, {Destination: "/topic/b", Headers: frames.Headers{}, Body: []byte("b")}}, list)
	_, err = decode(`[{"boddy":1}]`, 2)
	require.ErrorContains(t, err, `unknown field "boddy"`)
	_, err = decode(`7`, 2)
	require.ErrorContains(t, err, "has to be a list")
	list, err = decode(`null`, 2)
	require.NoError(t, err)
	require.Nil(t, list)
	list, err = decode(`[]`, 2)
	require.NoError(t, err)
	require.NotNil(t, list)
}

func decode(text string, limit int) ([]broker.Publication, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	return jsonmessage.ReadList(d, limit)
}

// readObject reads an object that may have a message, and a list.
func readObject(from io.Reader) (m jsonmessage.Message, list []broker.Publication, err error) {
	err = jsonmessage.ReadObject(from, map[string]jsonmessage.Field{
		"destination": jsonmessage.Into(&m.Destination), "headers": jsonmessage.Into(&m.Headers), "body": jsonmessage.Into(&m.Body),
		"messages": func(d *json.Decoder) (err error) {
			list, err = jsonmessage.ReadList(d, 1000)
			return err
		},
	})
	return m, list, err
}

// endless is a body that goes on for as long as it is read.
type endless struct {
	next strings.Reader
	more string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.next.Len() == 0 {
		e.next.Reset(e.more)
	}
	n, err := e.next.Read(p)
	e.read += n
	return n, err
}

// TestNoMoreIsReadThanUpToWhatIsWrong of bodies that do not end.
func TestNoMoreIsReadThanUpToWhatIsWrong(t *testing.T) {
	t.Parallel()
	const message = `{"destination":"/topic/a"},`
	for _, c := range []struct {
		begin, more, says string
		within            int // bytes
	}{
		{`[`, `{},`, "one JSON object", 4 << 10},
		{`{"messages":[`, `{},`, "message 0: the destination header is missing", 4 << 10},
		{`{"messages":[`, message, "too many messages", 1000*len(message) + 4<<10},
		{`{`, `"destination":"/topic/a",`, "there twice", 4 << 10},
		{`{`, `"a":"/topic/a",`, `unknown field "a"`, 4 << 10},
		{`{"messages":[],`, `"Messages":[],`, "there twice", 4 << 10},
		{`{}`, `{}`, "something follows", 4 << 10},
		{`{"messages":[7,`, `7,`, "cannot be a JSON number", 4 << 10},
	} {
		from := &endless{next: *strings.NewReader(c.begin), more: c.more}
		_, _, err := readObject(from)
		require.ErrorContains(t, err, c.says)
		require.Less(t, from.read, c.within, c.begin+c.more)
	}
}

// TestAStreamThatBreaksOffIsNoObject: what has come of it counts for nothing, and the error is
// that of the stream.
func TestAStreamThatBreaksOffIsNoObject(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `{`, `{"destination":"/to`, `{"messages":[`, `{"messages":[{"destination":"/topic/a"}`, `{"destination":"/topic/a"}`} {
		_, _, err := readObject(io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrClosedPipe)))
		var stream *jsonmessage.StreamError
		require.ErrorAs(t, err, &stream, text)
		require.ErrorIs(t, stream, io.ErrClosedPipe, text)
	}
	for _, text := range []string{`{`, `{"destination":"/to`, `{"messages":[`, `{"messages":[{"destination":"/topic/a"}`, `{"messages":[{"destination":"/topic/a"}}`, `{"messages":[{"destination":"/topic/a"},]}`, `{"destination":"/topic/a",}`} {
		_, _, err := readObject(strings.NewReader(text))
		require.ErrorContains(t, err, "invalid request body", text)
	}
	_, _, err := readObject(strings.NewReader(" \n"))
	require.ErrorIs(t, err, jsonmessage.ErrEmpty)
}

// TestFieldsAreThoseOfEncodingJSON: names are found in any case, and null is as if there was nothing.
func TestFieldsAreThoseOfEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"Destination":"/topic/a","HEADERS":{"a":"b"},"body":{"c":[1,{"d":null}]}}`, `{"destination":null,"headers":null,"body":null}`, `{"\u0062ody":"x"}`, `{}`,
	} {
		var want jsonmessage.Message
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		m, list, err := readObject(iotest.OneByteReader(strings.NewReader(text)))
		require.NoError(t, err)
		require.Equal(t, want, m, text)
		require.Nil(t, list)
	}
}

// TestNothingMayFollowAMessage, be it another one or the end of something that did not begin.
func TestNothingMayFollowAMessage(t *testing.T) {
	_, _, err := readObject(strings.NewReader("{} \r\n\t"))
	require.NoError(t, err)
	for _, body := range []string{"{}{}", "{}}", "{}]", "{} x", "{},", "{}\x00", "{}\f"} {
		_, _, err := readObject(strings.NewReader(body))
		require.ErrorContains(t, err, "something follows", body)
	}
}

// TestErrorsRepeatLittleOfABody: they go to the sender and into logs.
func TestErrorsRepeatLittleOfABody(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, body := range []string{`{"` + long + `":1}`, `{"headers":{"` + long + `":1}}`, `{"destination":` + strings.Repeat("9", 100_000) + `}`} {
		_, _, err := readObject(strings.NewReader(body))
		require.ErrorContains(t, err, "invalid request body")
		require.Less(t, len(err.Error()), 600)
	}
}
