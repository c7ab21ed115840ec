package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// benchHistory returns server CPU seconds per million messages that a history
// keeps, and says how fast they are replayed.
func benchHistory(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	file := filepath.Join(s.dir, "history.yaml")
	if err := os.WriteFile(file, []byte(`history: { policies: [ { name: bench, match: "`+benchTopic+`" } ] }`), 0o600); err != nil {
		return "", 0, err
	}
	kept, err := s.another(ctx, "-c", file)
	if err != nil {
		return "", 0, err
	}
	defer kept.stop()
	publisher, err := kept.dial(ctx)
	if err != nil {
		return "", 0, err
	}
	defer publisher.close()
	cpu, start := kept.cpu(), time.Now()
	if err := publisher.publishReceipted(o, benchTopic); err != nil {
		return "", 0, err
	}
	storing, took := kept.cpu()-cpu, time.Since(start)
	reader, err := kept.dial(ctx)
	if err != nil {
		return "", 0, err
	}
	defer reader.close()
	cpu, start = kept.cpu(), time.Now()
	if err := reader.send(frames.New(frames.SUBSCRIBE, "id", "sub-0", "destination", benchTopic, "last-event-id", "none-0")); err != nil {
		return "", 0, err
	}
	if err := readSequence(reader, o.messages, func(int) {}); err != nil {
		return "", 0, err
	}
	replaying, replayed := kept.cpu()-cpu, time.Since(start)
	// One message more has to be the next one: none was repeated.
	if err := publisher.publish(o.messages, o.size); err != nil {
		return "", 0, err
	}
	if err := reader.readOne(o.messages); err != nil {
		return "", 0, err
	}
	per := func(used time.Duration) float64 { return used.Seconds() / float64(o.messages) * 1e6 }
	return fmt.Sprintf("history: %d messages of %d B, receipts in a window of %d: stored %.0f/s at %.1f server CPU s per million, replayed %.0f/s at %.1f, none lost, in order",
		o.messages, o.size, o.inFlight, float64(o.messages)/took.Seconds(), per(storing), float64(o.messages)/replayed.Seconds(), per(replaying)), per(storing), nil
}
