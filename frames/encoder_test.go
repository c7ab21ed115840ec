package frames_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
)

func TestAppendWritesEachVersionItsWay(t *testing.T) {
	t.Parallel()
	f := frames.New(frames.MESSAGE, "destination", "/topic/a:b", "note", "one\ntwo\rthree\\four", "na:me", "v")
	f.Body = []byte("a\x00b")
	tests := map[frames.Version]string{
		frames.V10: "MESSAGE\ndestination:/topic/a:b\nnote:one two\rthree\\four\nna_me:v\ncontent-length:3\n\na\x00b\x00",
		frames.V11: "MESSAGE\ndestination:/topic/a\\cb\nnote:one\\ntwo\rthree\\\\four\nna\\cme:v\ncontent-length:3\n\na\x00b\x00",
		frames.V12: "MESSAGE\ndestination:/topic/a\\cb\nnote:one\\ntwo\\rthree\\\\four\nna\\cme:v\ncontent-length:3\n\na\x00b\x00",
	}
	for version, want := range tests {
		require.Equal(t, want, string(frames.Append(nil, f, version)), "version %s", version)
	}
}

func TestAppendNeverTrustsAContentLengthHeader(t *testing.T) {
	t.Parallel()
	f := frames.New(frames.SEND, "content-length", "99")
	f.Body = []byte("four")
	require.Equal(t, "SEND\ncontent-length:4\n\nfour\x00", string(frames.Append(nil, f, frames.V12)))
}

func TestAppendDoesNotEscapeConnectFrames(t *testing.T) {
	t.Parallel()
	f := frames.New(frames.CONNECTED, "version", "1.2", "user-name", "a:b\\c\nx")
	require.Equal(t, "CONNECTED\nversion:1.2\nuser-name:a:b\\c x\n\n\x00", string(frames.Append(nil, f, frames.V12)))
}

func TestNewWantsPairs(t *testing.T) {
	t.Parallel()
	pairs := []string{"destination"}
	require.Panics(t, func() { frames.New(frames.SEND, pairs...) })
}

func TestNegotiateVersion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		accept string
		want   frames.Version
	}{
		{"1.0", frames.V10}, {"1.1,1.0", frames.V11}, {"1.0,1.1,1.2", frames.V12},
		{"1.2, 1.1", frames.V12}, {"1.2,9.9", frames.V12}, {"2.0,1.1", frames.V11},
	}
	for _, tt := range tests {
		v, err := frames.NegotiateVersion(tt.accept)
		require.NoError(t, err)
		require.Equal(t, tt.want, v, "accept-version %q", tt.accept)
	}
	for _, accept := range []string{"2.0", "1", "1.3,1.4", "\n", ",,", "", " "} {
		_, err := frames.NegotiateVersion(accept)
		require.ErrorIs(t, err, &frames.Error{Code: frames.CodeVersion}, "accept-version %q", accept)
	}
	require.Equal(t, "none", frames.Version(0).String())
}

func TestHeartBeats(t *testing.T) {
	t.Parallel()
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	h, err := frames.ParseHeartBeat("100,2000")
	require.NoError(t, err)
	require.Equal(t, frames.HeartBeat{Send: ms(100), Receive: ms(2000)}, h)
	require.Equal(t, "100,2000", h.String())
	h, err = frames.ParseHeartBeat("")
	require.NoError(t, err)
	require.Zero(t, h)
	h, err = frames.ParseHeartBeat("9223372036854775807,99999999999999999999")
	require.NoError(t, err)
	require.Equal(t, frames.HeartBeat{Send: ms(math.MaxInt32), Receive: ms(math.MaxInt32)}, h)
	for _, bad := range []string{"1", "a,b", "-1,0", "1,2,3", "1.5,2", ","} {
		_, err := frames.ParseHeartBeat(bad)
		require.ErrorIs(t, err, &frames.Error{Code: frames.CodeHeartBeat}, "heart-beat %q", bad)
	}

	ours := frames.HeartBeat{Send: ms(10), Receive: ms(20)}
	require.Equal(t, frames.HeartBeat{Send: ms(10), Receive: ms(30)}, ours.Negotiate(frames.HeartBeat{Send: ms(30), Receive: ms(5)}))
	require.Equal(t, frames.HeartBeat{Send: ms(50)}, ours.Negotiate(frames.HeartBeat{Send: 0, Receive: ms(50)}))
	require.Zero(t, ours.Negotiate(frames.HeartBeat{}))
	require.Zero(t, frames.HeartBeat{}.Negotiate(ours))
}
