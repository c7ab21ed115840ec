//go:build !linux

package sdnotify

import "time"

// monotonic is for systemd, which is on Linux alone.
func monotonic() time.Duration { return 0 }
