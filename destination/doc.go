// Package destination is the grammar of destinations: their kinds and prefixes,
// patterns with wildcards, and how a user's name stands in one. It imports nothing
// of this module, so every layer can use it.
package destination
