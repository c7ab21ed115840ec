// Package codes is the one table of all error codes: what a connection closes with, what an
// HTTP client gets, whether trying again helps, the cause, and what to do. docs/errors.md is
// made from it.
package codes

import "github.com/stompbox/stompbox/frames"

// Retry says whether a client that does the same again may succeed.
type Retry string

// The answers to whether trying again helps.
const (
	Never Retry = "no"    // the frame, the request or a permission has to change first
	Later Retry = "yes"   // after retry-after seconds, where they are given
	Fresh Retry = "fresh" // with a fresh token
)

// Entry is what there is to know of one code.
type Entry struct {
	Code frames.Code
	// Close is the WebSocket close code after the ERROR frame, where the error has no
	// retry-after: with one it is 1013. 0 means that the session goes on.
	Close int
	// Status is the HTTP status where a request is refused with the code, or 0.
	Status int
	Retry  Retry
	Cause  string
	Remedy string
}

// Group is a part of the table, with a title.
type Group struct {
	Title   string
	Text    string
	Entries []Entry
}

// Page is where the codes are explained. Each has its anchor there.
const Page = "https://github.com/stompbox/stompbox/blob/main/docs/errors.md"

// URI returns where a code is explained.
func URI(code frames.Code) string { return Page + "#" + string(code) }

var byCode = func() map[frames.Code]*Entry {
	all := make(map[frames.Code]*Entry)
	for g := range Table {
		for i := range Table[g].Entries {
			entry := &Table[g].Entries[i]
			all[entry.Code] = entry
		}
	}
	return all
}()

// Of returns the entry of a code, and whether there is one.
func Of(code frames.Code) (Entry, bool) {
	entry, ok := byCode[code]
	if !ok {
		return Entry{Code: code}, false
	}
	return *entry, true
}
