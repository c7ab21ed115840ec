package documents

import (
	"regexp"
	"strings"
	"testing"
)

// words are those that documents do not use, with what they use in their place.
var words = map[string]string{
	"octets?": "byte", "anew": "again, recreated", "nobody": "no client, no user, none", "somebody": "a client, an operator",
	"whom": "(say it in two sentences)", "told": "notified, reported", "hears": "receives, gets", "mended": "fixed",
	"comings and goings": "join and leave events", "one (may|sees)": "you may, you see", "farewell": "close frame",
	"takes turns": "round-robin", "made anew": "recreated", "in the way of": "like",
}

// TestWordsAreThoseOfTheField: plain words, for readers whose first language is another.
func TestWordsAreThoseOfTheField(t *testing.T) {
	t.Parallel()
	files := append(documents(t), "ARCHITECTURE.md", "SECURITY.md", "stompbox.example.yaml")
	for _, file := range files {
		text := fenced.ReplaceAllStringFunc(read(t, file), func(block string) string { return strings.Repeat("\n", strings.Count(block, "\n")) })
		text = testNames.ReplaceAllString(text, "")
		for word, better := range words {
			pattern := regexp.MustCompile(`(?i)\b` + word + `\b`)
			for _, at := range pattern.FindAllStringIndex(text, -1) {
				line := 1 + strings.Count(text[:at[0]], "\n")
				t.Errorf("%s:%d: %q; better: %s", file, line, text[at[0]:at[1]], better)
			}
		}
	}
}

// testNames are names of tests, which are no sentences.
var testNames = regexp.MustCompile("`Test\\w+`")
