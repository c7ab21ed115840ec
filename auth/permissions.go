package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stompbox/stompbox/destination"
)

// Grants are permissions in the form used by configurations and tokens: patterns of destinations,
// in which {user} stands for the principal's name.
type Grants struct {
	Send      []string `json:"send,omitempty" mapstructure:"send"`
	Subscribe []string `json:"subscribe,omitempty" mapstructure:"subscribe"`
	Serve     []string `json:"serve,omitempty" mapstructure:"serve"`
}

// DefaultGrants are for tokens without permissions: they may subscribe to topics and to their own
// user destinations, and send to app servers.
func DefaultGrants() Grants {
	return Grants{
		Send:      []string{"/app/**"},
		Subscribe: []string{"/topic/**", "/user/**"},
	}
}

// AllGrants permits everything. Development mode uses it.
func AllGrants() Grants {
	return Grants{Send: []string{"/**"}, Subscribe: []string{"/**"}, Serve: []string{"/**"}}
}

// Empty reports whether g grants nothing.
func (g Grants) Empty() bool { return len(g.Send)+len(g.Subscribe)+len(g.Serve) == 0 }

// Permissions are the compiled Grants of one principal. The zero value denies everything. They
// are immutable and safe for concurrent use.
type Permissions struct {
	send, subscribe, serve []destination.Pattern
}

// NewPermissions compiles grants for the principal called user. The error names the invalid
// pattern.
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
		if len(kind.from) == 0 {
			continue
		}
		key := ""
		if !slices.ContainsFunc(kind.from, namesUser) {
			key = sharedKey(kind.name, kind.from)
		}
		patterns, err := sharedPatterns.find(key, func() ([]destination.Pattern, error) {
			return compile(kind.name, kind.from, user, kind.parse)
		})
		if err != nil {
			return Permissions{}, err
		}
		*kind.to = patterns
	}
	return p, nil
}

// userVariable stands for the principal's own name in a pattern.
const userVariable = "{user}"

func namesUser(pattern string) bool { return strings.Contains(pattern, userVariable) }

func compile(kind string, texts []string, user string, parse func(string) (destination.Pattern, error)) ([]destination.Pattern, error) {
	patterns := make([]destination.Pattern, 0, len(texts))
	for _, text := range texts {
		pattern, err := parse(strings.ReplaceAll(text, userVariable, destination.EscapeSegment(user)))
		if err != nil {
			return nil, fmt.Errorf("%s pattern %q: %w", kind, text, err)
		}
		patterns = append(patterns, pattern)
	}
	return patterns, nil
}

// MaySend reports whether a SEND to a destination is granted, whatever the encoding of the user
// in it.
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

// MaySendAll reports whether one grant permits a SEND to all destinations of a pattern.
func (p Permissions) MaySendAll(pattern destination.Pattern) bool { return containAny(p.send, pattern) }

// MaySubscribe reports whether a SUBSCRIBE to pattern is granted. One grant must cover all of it.
// /user/<rest> in it is the principal's own; see [destination.ParseOwnPattern].
func (p Permissions) MaySubscribe(pattern destination.Pattern) bool {
	return containAny(p.subscribe, pattern)
}

// MayServe reports whether the principal may answer requests to everything that matches pattern.
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
