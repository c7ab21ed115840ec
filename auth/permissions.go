package auth

import (
	"fmt"
	"strings"

	"github.com/stompbox/stompbox/destination"
)

// Grants are permissions as a configuration or a token spells them: patterns of
// destinations, in which {user} stands for the principal's own name.
type Grants struct {
	Send      []string `json:"send,omitempty" mapstructure:"send"`
	Subscribe []string `json:"subscribe,omitempty" mapstructure:"subscribe"`
	Serve     []string `json:"serve,omitempty" mapstructure:"serve"`
}

// DefaultGrants are what a token that says nothing of permissions may do:
// subscribe to topics and to its own user destinations, and send to app servers.
func DefaultGrants() Grants {
	return Grants{
		Send:      []string{"/app/**"},
		Subscribe: []string{"/topic/**", "/user/**"},
	}
}

// AllGrants permit everything. They are what development mode gives.
func AllGrants() Grants {
	return Grants{Send: []string{"/**"}, Subscribe: []string{"/**"}, Serve: []string{"/**"}}
}

// Empty reports whether g grants nothing.
func (g Grants) Empty() bool { return len(g.Send)+len(g.Subscribe)+len(g.Serve) == 0 }

// Permissions are Grants made ready for one principal. The zero Permissions
// deny everything. They are immutable and safe for concurrent use.
type Permissions struct {
	send, subscribe, serve []destination.Pattern
}

// NewPermissions compiles grants for the principal called user. It returns an
// error that names the pattern that is wrong.
func NewPermissions(grants Grants, user string) (Permissions, error) {
	var p Permissions
	for _, kind := range []struct {
		name  string
		from  []string
		to    *[]destination.Pattern
		parse func(string) (destination.Pattern, error)
	}{
		{"send", grants.Send, &p.send, destination.ParsePattern},
		{"subscribe", grants.Subscribe, &p.subscribe, destination.ParseOwnPattern},
		{"serve", grants.Serve, &p.serve, destination.ParsePattern},
	} {
		for _, text := range kind.from {
			pattern, err := kind.parse(strings.ReplaceAll(text, "{user}", destination.EscapeSegment(user)))
			if err != nil {
				return Permissions{}, fmt.Errorf("%s pattern %q: %w", kind.name, text, err)
			}
			*kind.to = append(*kind.to, pattern)
		}
	}
	return p, nil
}

// MaySend reports whether a SEND to a destination is granted, however the user in it
// is encoded.
func (p Permissions) MaySend(dest string) bool { return matchAny(p.send, destination.Canonical(dest)) }

// MaySendSome reports whether a SEND to some destination of a pattern is granted.
func (p Permissions) MaySendSome(of destination.Pattern) bool {
	for i := range p.send {
		if p.send[i].Overlaps(of) {
			return true
		}
	}
	return false
}

// MaySendAll reports whether a SEND to all destinations of a pattern is granted, by one
// grant.
func (p Permissions) MaySendAll(pattern destination.Pattern) bool { return containAny(p.send, pattern) }

// MaySubscribe reports whether a SUBSCRIBE to the whole of pattern is granted.
// One grant has to contain it all. /user/<rest> in it is the principal's own; see
// [destination.ParseOwnPattern].
func (p Permissions) MaySubscribe(pattern destination.Pattern) bool {
	return containAny(p.subscribe, pattern)
}

// MayServe reports whether the principal may answer requests to the whole of pattern.
func (p Permissions) MayServe(pattern destination.Pattern) bool { return containAny(p.serve, pattern) }

func matchAny(granted []destination.Pattern, dest string) bool {
	for i := range granted {
		if granted[i].Match(dest) {
			return true
		}
	}
	return false
}

func containAny(granted []destination.Pattern, asked destination.Pattern) bool {
	for i := range granted {
		if granted[i].Contains(asked) {
			return true
		}
	}
	return false
}
