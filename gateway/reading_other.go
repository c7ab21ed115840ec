//go:build !linux

package gateway

import "time"

// reading is how a connection is read: here by a goroutine.
type reading struct{}

func (*reading) start(*conn, *connTracker, reader) bool { return false }

func (*reading) finish(c *conn, at time.Time) { _ = c.SetReadDeadline(at) }

func (*reading) wake(*conn) {}
