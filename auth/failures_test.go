package auth

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFailuresAreForgivenWithTime(t *testing.T) {
	t.Parallel()
	f := failures[string]{perMinute: 60}
	now := time.Now()
	for range 60 {
		require.Zero(t, f.wait("a", now))
		f.add("a", now)
	}
	require.Equal(t, time.Second, f.wait("a", now))
	require.Zero(t, f.wait("b", now))
	require.Zero(t, f.wait("a", now.Add(time.Second)))
	f.add("a", now.Add(time.Second))
	require.Equal(t, time.Second, f.wait("a", now.Add(time.Second)))
	require.Zero(t, f.wait("a", now.Add(time.Hour)))
	f.add("a", now.Add(time.Hour))
	require.Zero(t, f.wait("a", now.Add(time.Hour)), "an hour gives no more than a minute")

	unbounded := failures[string]{}
	for range 1000 {
		unbounded.add("a", now)
	}
	require.Zero(t, unbounded.wait("a", now))
	require.Empty(t, unbounded.failing)
}

func TestFailuresAreCountedForABoundedNumber(t *testing.T) {
	t.Parallel()
	f := failures[int]{perMinute: 1}
	now := time.Now()
	for i := range 2 * maxFailing {
		f.add(i, now)
		require.LessOrEqual(t, len(f.failing), maxFailing)
	}
	f.add(-1, now.Add(time.Hour))
	require.Len(t, f.failing, 1, "those that are forgiven go first")
}

func TestWrongPasscodesAreLimited(t *testing.T) {
	t.Parallel()
	s := newSlowLogins(t)
	s.compare = func(_, passcode []byte) error {
		if string(passcode) == "right" {
			return nil
		}
		return ErrUnauthenticated
	}
	s.LimitFailures(3, 5)
	show := func(login, passcode, remote string) error {
		_, err := s.Authenticate(t.Context(), Credentials{Login: login, Passcode: passcode, Remote: remote})
		return err
	}
	limited := func(err error, limit, reason string) {
		t.Helper()
		var busy *BusyError
		require.ErrorAs(t, err, &busy)
		require.NotErrorIs(t, err, ErrUnauthenticated)
		require.Equal(t, reason, busy.Reason)
		require.Equal(t, limit, busy.Limit)
		require.Positive(t, busy.RetryAfter)
		require.LessOrEqual(t, busy.RetryAfter, 21*time.Second)
	}
	require.NoError(t, show("other", "right", "10.0.0.9:1"))
	for range 3 {
		require.ErrorIs(t, show("unknown", "guess", "10.0.0.1:1"), ErrUnauthenticated)
	}
	limited(show("spring", "right", "10.0.0.1:2"), "address_failed_logins", "your address has shown too many wrong passcodes")
	require.NoError(t, show("other", "right", "10.0.0.1:2"), "it was right before")
	require.NoError(t, show("spring", "right", "10.0.0.2:1"), "another address")

	for i := range 5 {
		require.ErrorIs(t, show("other", "guess", []string{"10.0.1.1", "10.0.1.2", "10.0.1.3"}[i%3]), ErrUnauthenticated)
	}
	limited(show("other", "guess", "10.0.1.4"), "user_failed_logins", "too many wrong passcodes were shown for this login")
	require.NoError(t, show("other", "right", "10.0.1.4"), "it was right before")
	require.NoError(t, show("spring", "right", "10.0.1.4"))
	require.Equal(t, LoginStats{Accepted: 5, Refused: 8, Limited: 2}, s.Stats())
}
