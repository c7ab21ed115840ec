package destination

import "strings"

// DisconnectPrefix begins the name of the permission to end a user's sessions.
const DisconnectPrefix = "/session/disconnect/"

// ReloadPermission names the permission to have the configuration read again.
const ReloadPermission = "/session/reload"

// Words goes through the words of a destination. The user in /user/<user>/<rest> is
// one word: names have dots.
type Words struct {
	rest string
	user int // how many words on the user is, or 0
}

// WordsOf begins with the first word of a destination.
func WordsOf(name string) Words {
	switch {
	case strings.HasPrefix(name, UserPrefix):
		return Words{name, 2}
	case strings.HasPrefix(name, DisconnectPrefix):
		return Words{name, 3}
	}
	return Words{rest: name}
}

// Rest returns what is left, which begins with a separator.
func (w *Words) Rest() string { return w.rest }

// AtUser reports whether the next word is a user.
func (w *Words) AtUser() bool { return w.user == 1 }

// Next splits off the next word: it has its separator in front, and is empty at the
// end.
func (w *Words) Next() string {
	if w.rest == "" {
		return ""
	}
	dots := !w.AtUser()
	if w.user > 0 {
		w.user--
	}
	end := 1
	for end < len(w.rest) && w.rest[end] != '/' && (w.rest[end] != '.' || !dots) {
		end++
	}
	word := w.rest[:end]
	w.rest = w.rest[end:]
	return word
}
