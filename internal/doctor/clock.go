package doctor

import (
	"context"
	"net/http"
	"time"
)

// built is a time before which no clock can be right.
var built = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

const clockRemedy = "run chrony or systemd-timesyncd; tokens are judged by this clock"

// machineClock checks this machine's clock as far as it can without others.
func checkClock(_ context.Context, e *examination) []Result {
	const check = "clock"
	now := e.Now()
	if now.Before(built) {
		return []Result{fail(check, clockRemedy, "it is %s, says the clock, which is too early", now.UTC().Format(time.RFC3339))}
	}
	if synchronized, known := clockSynchronized(); known && !synchronized {
		return []Result{warn(check, clockRemedy, "the kernel says that the clock is not synchronized")}
	}
	return []Result{ok(check, "it is %s", now.UTC().Format(time.RFC3339))}
}

// dateResolution is that of the Date header, and what a slow answer adds.
const dateResolution = 2 * time.Second

// comparedClock compares a server's time, known from an answer to a question that was
// asked at sent, with this machine's.
func compareClock(e *examination, check string, theirs, sent, received time.Time) Result {
	// Their time lies between the question and the answer.
	var off time.Duration
	switch {
	case theirs.Before(sent.Add(-dateResolution)):
		off = sent.Sub(theirs)
	case theirs.After(received.Add(dateResolution)):
		off = received.Sub(theirs)
	}
	direction := "ahead of"
	if off < 0 {
		direction, off = "behind", -off
	}
	off = off.Round(time.Second)
	switch leeway := e.c.Auth.JWT.Leeway; {
	case off == 0:
		return ok(check, "its clock and this machine's agree")
	case off > leeway:
		return fail(check, clockRemedy, "this machine's clock is %s %s its clock, which is more than auth.jwt.leeway %s: fresh tokens are refused, or old ones taken", off, direction, leeway)
	default:
		return warn(check, clockRemedy, "this machine's clock is %s %s its clock", off, direction)
	}
}

// serverTime reads the Date header.
func serverTime(h http.Header) (time.Time, bool) {
	at, err := http.ParseTime(h.Get("Date"))
	return at, err == nil
}
