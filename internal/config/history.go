package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// Parse returns the policies, with their patterns read.
func (h History) Parse() ([]driver.HistoryPolicy, error) {
	var all []driver.HistoryPolicy
	var faults []error
	for i, p := range h.Policies {
		match, err := destination.ParsePattern(p.Match)
		if err != nil {
			faults = append(faults, fmt.Errorf("history.policies, entry %d: match %q: %w", i+1, p.Match, err))
			continue
		}
		all = append(all, driver.HistoryPolicy{Name: p.Name, Match: match, MaxMessages: p.MaxMessages, MaxBytes: int64(p.MaxBytes), MaxAge: p.MaxAge})
	}
	if err := driver.CheckHistoryPolicies(all); err != nil {
		faults = append(faults, fmt.Errorf("history.policies: %w", err))
	}
	return all, errors.Join(faults...)
}

// Parse returns the patterns of the topics.
func (p Presence) Parse() ([]destination.Pattern, error) {
	var all []destination.Pattern
	var faults []error
	for _, text := range p.Destinations {
		pattern, err := destination.ParsePattern(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("presence.destinations %q: %w", text, err))
		} else if !strings.HasPrefix(text, destination.TopicPrefix) {
			faults = append(faults, fmt.Errorf("presence.destinations %q: presence is of topics; begin it with %s", text, destination.TopicPrefix))
		}
		all = append(all, pattern)
	}
	return all, errors.Join(faults...)
}
