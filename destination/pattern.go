package destination

import (
	"errors"
	"fmt"
	"strings"
)

// Pattern is a destination in which whole words may be wildcards. Words are
// separated by '/' or '.', and separators have to match too: "*" stands for one
// word, "**" for any number of trailing words, none included, and ">" for one
// or more trailing words. So /topic/chat.* matches /topic/chat.room1 and not
// /topic/chat/room1; /topic/chat/** matches /topic/chat and /topic/chat/a.b.
//
// The user in /user/<user>/<rest> is one word, whatever dots it has.
//
// A name without wildcards is a Pattern that matches itself. Patterns are
// immutable and safe for concurrent use.
type Pattern struct {
	text  string
	words []string // each with the separator in front of it
	tail  string   // "", or the last word when it is ** or >, without separator
}

// ParsePattern checks text and returns its Pattern. It returns an error when
// text does not begin with '/', or has "**" or ">" before its end. The user in it
// is spelled as [Canonical] spells it.
func ParsePattern(text string) (Pattern, error) {
	text = Canonical(text)
	return parse(text, WordsOf(text))
}

// ParseOwnPattern is ParsePattern for what a SUBSCRIBE and its permission name, where
// /user/<rest> is the subscriber's own and has no user in it.
func ParseOwnPattern(text string) (Pattern, error) { return parse(text, Words{rest: text}) }

func parse(text string, words Words) (Pattern, error) {
	if !strings.HasPrefix(text, "/") {
		return Pattern{}, errors.New("it does not begin with /")
	}
	p := Pattern{text: text}
	for word := words.Next(); word != ""; word = words.Next() {
		if p.tail != "" {
			return Pattern{}, fmt.Errorf("%s may only be its last word", p.tail)
		}
		if IsTail(word[1:]) {
			p.tail = word[1:]
		}
		p.words = append(p.words, word)
	}
	return p, nil
}

// IsTail reports whether a word, without its separator, stands for any number
// of trailing words.
func IsTail(word string) bool { return word == "**" || word == ">" }

// IsWildcard reports whether a word, without its separator, is a wildcard.
func IsWildcard(word string) bool { return word == "*" || IsTail(word) }

// HasWildcard reports whether a whole word of the destination is a wildcard.
func HasWildcard(destination string) bool {
	if !strings.ContainsAny(destination, "*>") {
		return false
	}
	words := WordsOf(destination)
	for word := words.Next(); word != ""; word = words.Next() {
		if IsWildcard(word[1:]) {
			return true
		}
	}
	return false
}

// String returns the text of the pattern.
func (p Pattern) String() string { return p.text }

// Words returns the words, each with the separator in front of it. They must
// not be changed.
func (p Pattern) Words() []string { return p.words }

// Match reports whether the pattern matches a destination, which is taken as it
// is, wildcards included; a user in it is spelled as [Canonical] spells it. It does not allocate.
func (p Pattern) Match(destination string) bool {
	words := p.words
	if p.tail != "" {
		words = words[:len(words)-1]
	}
	given := WordsOf(destination)
	for _, want := range words {
		got := given.Next()
		if got == "" || got[0] != want[0] || (want[1:] != "*" && got != want) {
			return false
		}
	}
	switch {
	case given.rest == "":
		return p.tail == "" || p.tail == "**"
	case p.tail == "":
		return false
	}
	return given.rest[0] == p.words[len(p.words)-1][0]
}

// Contains reports whether p matches everything that q matches.
func (p Pattern) Contains(q Pattern) bool {
	if q.tail == "" {
		return p.containsWords(q)
	}
	if p.tail == "" {
		return false
	}
	head := len(p.words) - 1
	if len(q.words)-1 < head || !sameWords(p.words[:head], q.words[:head]) {
		return false
	}
	if len(q.words)-1 == head {
		// Both tails start at the same word; ** matches nothing, > does not.
		sameSeparator := q.words[head][0] == p.words[head][0]
		return sameSeparator && (p.tail == "**" || q.tail == ">")
	}
	return q.words[head][0] == p.words[head][0]
}

// containsWords is Contains for a q without a tail.
func (p Pattern) containsWords(q Pattern) bool {
	if p.tail == "" {
		return len(p.words) == len(q.words) && sameWords(p.words, q.words)
	}
	head := len(p.words) - 1
	if len(q.words) < head || !sameWords(p.words[:head], q.words[:head]) {
		return false
	}
	if len(q.words) == head {
		return p.tail == "**"
	}
	return q.words[head][0] == p.words[head][0]
}

// Overlaps reports whether some destination is matched by both p and q.
func (p Pattern) Overlaps(q Pattern) bool {
	ps, qs := p.head(), q.head()
	for i := range min(len(ps), len(qs)) {
		a, b := ps[i], qs[i]
		if a[0] != b[0] || (a != b && a[1:] != "*" && b[1:] != "*") {
			return false
		}
	}
	switch {
	case len(ps) < len(qs):
		return p.tail != "" && p.words[len(ps)][0] == qs[len(ps)][0]
	case len(ps) > len(qs):
		return q.tail != "" && q.words[len(qs)][0] == ps[len(qs)][0]
	case p.tail != "" && q.tail != "" && p.words[len(ps)][0] == q.words[len(qs)][0]:
		return true // one more word will do
	}
	return p.tail != ">" && q.tail != ">" // no more words
}

// head returns the words before the tail.
func (p Pattern) head() []string {
	if p.tail != "" {
		return p.words[:len(p.words)-1]
	}
	return p.words
}

// sameWords reports whether each of ps contains the word of qs at its place.
func sameWords(ps, qs []string) bool {
	for i, p := range ps {
		q := qs[i]
		if p[0] != q[0] || (p != q && p[1:] != "*") {
			return false
		}
	}
	return true
}
