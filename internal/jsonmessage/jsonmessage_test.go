package jsonmessage_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/jsonmessage"
)

// TestLongListsAndHeadersAreRefusedWhileTheyAreRead: what is beyond a limit takes no
// memory.
func TestLongListsAndHeadersAreRefusedWhileTheyAreRead(t *testing.T) {
	var l jsonmessage.List
	require.NoError(t, json.Unmarshal([]byte("["+strings.Repeat("{},", 2_000_000)+"{}]"), &l))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := l.Decode(1000)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, jsonmessage.ErrTooMany)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))

	message := `{"headers":{"h0":"","h":""}}`
	require.NoError(t, json.Unmarshal([]byte("["+strings.Repeat(message+",", 50_000)+`{"headers":{"h":""}}]`), &l))
	_, err = l.Decode(1_000_000)
	require.EqualError(t, err, "headers: the messages of a list may have 100000")

	var m jsonmessage.Message
	err = json.Unmarshal([]byte(`{"headers":{`+strings.Repeat(`"a":"b",`, 3)+`"c":"d"}}`), &m)
	require.NoError(t, err)
	require.Equal(t, jsonmessage.Headers{"a": "b", "c": "d"}, m.Headers)
	many := make(map[string]string)
	for i := range 1001 {
		many[strings.Repeat("x", i+1)] = ""
	}
	text, err := json.Marshal(map[string]any{"headers": many})
	require.NoError(t, err)
	require.ErrorContains(t, json.Unmarshal(text, &m), "a message may have 1000")
	require.ErrorContains(t, json.Unmarshal([]byte(`{"headers":{"a":{"b":"c"}}}`), &m), "has to be a string")
	require.ErrorContains(t, json.Unmarshal([]byte(`{"headers":["a"]}`), &m), "object of strings")

	list, err := decode(t, `[{"destination":"/topic/a"},{"destination":"/topic/b"}]`, 2)
	require.NoError(t, err)
	require.Len(t, list, 2)
	_, err = decode(t, `[{"boddy":1}]`, 2)
	require.ErrorContains(t, err, `unknown field "boddy"`)
	_, err = decode(t, `7`, 2)
	require.ErrorContains(t, err, "has to be a list")
}

func decode(t *testing.T, text string, limit int) ([]jsonmessage.Message, error) {
	t.Helper()
	var l jsonmessage.List
	require.NoError(t, json.Unmarshal([]byte(text), &l))
	return l.Decode(limit)
}

// TestNothingMayFollowAMessage, be it another one or the end of something that did not begin.
func TestNothingMayFollowAMessage(t *testing.T) {
	require.NoError(t, jsonmessage.DecodeStrictly([]byte("{} \r\n\t"), new(jsonmessage.Message)))
	for _, body := range []string{"{}{}", "{}}", "{}]", "{} x", "{},", "{}\x00", "{}\f"} {
		require.ErrorContains(t, jsonmessage.DecodeStrictly([]byte(body), new(jsonmessage.Message)), "something follows", body)
	}
}

// TestErrorsRepeatLittleOfABody: they go to the sender and into logs.
func TestErrorsRepeatLittleOfABody(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, body := range []string{`{"` + long + `":1}`, `{"headers":{"` + long + `":1}}`, `{"destination":` + strings.Repeat("9", 100_000) + `}`} {
		err := jsonmessage.DecodeStrictly([]byte(body), new(jsonmessage.Message))
		require.ErrorContains(t, err, "invalid request body")
		require.Less(t, len(err.Error()), 600)
	}
}
