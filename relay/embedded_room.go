package relay

import "math"

// leastRoom is what JetStream may always keep in addition to what it has and to what is
// reserved for streams: without it, it makes no consumers, and changes no stream. Whether the
// disk has that room, the watch of the disk knows.
const leastRoom = 64 << 20

// grow has JetStream keep more where there is more room than before, unless an operator has
// set how much it may keep. The disk may have been full when the server was started.
func (s *Server) grow() error {
	if !s.grows {
		return nil
	}
	stats, err := s.running().Jsz(nil)
	if err != nil {
		return err
	}
	free, _, err := s.free(s.data.path)
	if err != nil {
		free = math.MaxInt64 / 4 // it cannot be known
	}
	is, want := s.options.JetStreamMaxStore, roomFor(free, stats.Store, stats.ReservedStore)
	if want-is < max(is/8, leastRoom/8) {
		return nil // others write and remove files all the time
	}
	options := s.options.Clone()
	options.JetStreamMaxStore = want
	if err := s.running().ReloadOptions(options); err != nil {
		return err
	}
	s.options = options
	return nil
}

// roomFor is how much JetStream may keep on a disk: three quarters of what it has and of what
// is free.
func roomFor(free, used, reserved uint64) int64 {
	return int64(max((free+used)/4*3, used+reserved+leastRoom))
}
