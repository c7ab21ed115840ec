package auth

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// slowLogins are logins whose comparisons wait to be let go, one at a time.
type slowLogins struct {
	*Logins
	begun chan string // the passcode that is being compared
	let   chan struct{}
}

func newSlowLogins(t *testing.T) *slowLogins {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	require.NoError(t, err)
	logins, err := NewLogins([]Login{{Name: "spring", PasscodeHash: string(hash)}, {Name: "other", PasscodeHash: string(hash)}})
	require.NoError(t, err)
	s := &slowLogins{Logins: logins, begun: make(chan string), let: make(chan struct{})}
	s.maxRunning = 1
	s.compare = func(_, passcode []byte) error {
		s.begun <- string(passcode)
		<-s.let
		if string(passcode) != "right" {
			return errors.New("wrong")
		}
		return nil
	}
	return s
}

// show queues a passcode.
func (s *slowLogins) show(login, passcode, remote string) *check {
	return s.enqueue(Credentials{Login: login, Passcode: passcode, Remote: remote}, s.mac(login, passcode))
}

// next lets the comparison under way go, and returns the passcode of the next one.
func (s *slowLogins) next() string {
	s.let <- struct{}{}
	return <-s.begun
}

// finish lets all that wait be compared.
func (s *slowLogins) finish(t *testing.T, last *check) {
	t.Helper()
	for {
		select {
		case <-s.begun:
		case s.let <- struct{}{}:
		case <-last.done:
			if s.Stats().Waiting == 0 {
				return
			}
		}
	}
}

func TestARightLoginDoesNotWaitForGuessers(t *testing.T) {
	t.Parallel()
	for name, remote := range map[string]string{"of the same address": "10.0.0.1:5000", "of another": "10.0.0.2:5000"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSlowLogins(t)
			s.show("spring", "guess", "10.0.0.1:1")
			require.Equal(t, "guess", <-s.begun)
			for i := range 40 {
				s.show("spring", fmt.Sprint("guess ", i), fmt.Sprint("10.0.0.1:", i+1))
			}
			right := s.show("spring", "right", remote)
			require.Contains(t, []string{s.next(), s.next()}, "right")
			s.finish(t, s.show("spring", "last", remote))
			require.Equal(t, matched, right.outcome)
		})
	}
}

// TestARightLoginIsNotBuriedByAFlood: who came before a flood has a turn in it.
func TestARightLoginIsNotBuriedByAFlood(t *testing.T) {
	t.Parallel()
	s := newSlowLogins(t)
	s.show("spring", "guess", "10.0.0.1:1")
	require.Equal(t, "guess", <-s.begun)
	s.show("spring", "right", "10.0.0.1:2")
	for i := range 40 {
		s.show("spring", fmt.Sprint("guess ", i), "10.0.0.1:3")
	}
	require.Contains(t, []string{s.next(), s.next()}, "right")
	s.finish(t, s.show("spring", "last", "10.0.0.1:4"))
}

func TestPeersTakeTurns(t *testing.T) {
	t.Parallel()
	s := newSlowLogins(t)
	s.show("spring", "guess", "10.0.0.1:1")
	require.Equal(t, "guess", <-s.begun)
	for i := range 40 {
		s.show("spring", fmt.Sprint("guess ", i), "10.0.0.1:1")
	}
	for i := range 3 {
		s.show(fmt.Sprint("unknown ", i), "honest", fmt.Sprintf("[2001:db8:0:%d::1]:1", i))
	}
	honest := 0
	for range 6 {
		if s.next() == "honest" {
			honest++
		}
	}
	require.Equal(t, 3, honest, "each peer has a turn before one has many")
	s.finish(t, s.show("spring", "last", "10.0.0.4:4"))
}

func TestAPasscodeThatWasRightBeforeDoesNotWait(t *testing.T) {
	t.Parallel()
	s := newSlowLogins(t)
	right := Credentials{Login: "spring", Passcode: "right"}
	first := s.show("spring", "right", "")
	<-s.begun
	s.let <- struct{}{}
	<-first.done
	last := s.show("spring", "guess", "10.0.0.1:1")
	<-s.begun // and is not let go
	for i := range 2 * maxChecks {
		last = s.show("spring", fmt.Sprint("guess ", i), "10.0.0.1:1")
	}
	p, err := s.Authenticate(t.Context(), right)
	require.NoError(t, err)
	require.Equal(t, "spring", p.Name)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []Credentials{{Login: "other", Passcode: "right"}, {Login: "sprin", Passcode: "gright"}, {Login: "spring", Passcode: "Right"}} {
		_, err := s.Authenticate(gone, c)
		require.ErrorIs(t, err, context.Canceled, "%s is not recognized, and waits", c.Login)
	}
	known := s.byName["spring"]
	known.usedAt = known.usedAt.Add(-recognizedFor - time.Second)
	_, err = s.Authenticate(gone, right)
	require.ErrorIs(t, err, context.Canceled, "it was forgotten")
	s.finish(t, last)
}

func TestTooManyLoginsAreBusy(t *testing.T) {
	t.Parallel()
	s := newSlowLogins(t)
	s.show("spring", "guess", "10.0.0.1:1")
	require.Equal(t, "guess", <-s.begun)
	answers := make(chan error, 1)
	go func() {
		_, err := s.Authenticate(context.Background(), Credentials{Login: "spring", Passcode: "the oldest", Remote: "10.0.0.1:1"})
		answers <- err
	}()
	for s.Stats().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	quiet := s.show("spring", "right", "10.0.0.2:1")
	var last *check
	for i := range maxChecks {
		last = s.show("spring", fmt.Sprint("guess ", i), "10.0.0.1:1")
	}
	var busy *BusyError
	err := <-answers
	require.ErrorAs(t, err, &busy)
	require.NotErrorIs(t, err, ErrUnauthenticated)
	require.Equal(t, 5*time.Second, busy.RetryAfter)
	require.Equal(t, LoginStats{Busy: 1, Waiting: maxChecks}, s.Stats())
	select {
	case <-quiet.done:
		t.Fatal("a peer lost its turn to one with more")
	default:
	}
	s.finish(t, last)
	require.Equal(t, matched, quiet.outcome)
}

// TestLoginsOfOneKindAreComparedOnce: Spring's relay may connect for all of its users at once.
func TestLoginsOfOneKindAreComparedOnce(t *testing.T) {
	t.Parallel()
	s := newSlowLogins(t)
	s.show("spring", "guess", "")
	<-s.begun
	right := s.show("spring", "right", "")
	for range 99 {
		require.Same(t, right, s.show("spring", "right", ""))
	}
	s.next()
	s.let <- struct{}{}
	<-right.done
	require.Equal(t, matched, right.outcome)
}

// TestWhoGoesAwayIsNotCompared: a check for which no peer waits takes no time of others.
func TestWhoGoesAwayIsNotCompared(t *testing.T) {
	t.Parallel()
	s := newSlowLogins(t)
	s.show("spring", "guess", "")
	<-s.begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 10 {
		_, err := s.Authenticate(ctx, Credentials{Login: "spring", Passcode: fmt.Sprint("gone ", i)})
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Zero(t, s.Stats().Waiting)
	require.Len(t, s.pending, 1)
	last := s.show("spring", "last", "")
	require.Equal(t, "last", s.next())
	s.let <- struct{}{}
	<-last.done
}

func TestPeerOf(t *testing.T) {
	t.Parallel()
	for remote, peer := range map[string]string{
		"10.0.0.1:5000": "10.0.0.1", "10.0.0.1": "10.0.0.1", "[::ffff:10.0.0.1]:80": "10.0.0.1",
		"[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::1": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64",
		"": "", "pipe": "", "@": "",
	} {
		require.Equal(t, peer, peerOf(remote), remote)
	}
}

// TestWhoHasItsTurnIsRunning: who has it waits for the outcome, as the bound is on the wait for the turn.
func TestWhoHasItsTurnIsRunning(t *testing.T) {
	t.Parallel()
	s := newSlowLogins(t)
	first := s.show("spring", "right", "")
	<-s.begun
	second := s.show("spring", "guess", "")
	require.True(t, s.isRunning(first))
	require.False(t, s.isRunning(second))
	s.finish(t, second)
}
