package auth

import (
	"strconv"
	"strings"
	"sync"

	"github.com/stompbox/stompbox/destination"
)

// Most tokens of a system grant the same, so the lists that equal ones come to are one
// in memory. They are never changed.
var (
	sharedTexts    sharedLists[string]
	sharedPatterns sharedLists[destination.Pattern]
)

const (
	// maxSharedBytes is how much text the keys of shared lists have: tokens of an issuer may
	// all be different.
	maxSharedBytes = 1 << 20
	// maxSharedKey is the longest list that is looked for.
	maxSharedKey = 4 << 10
)

// sharedLists are lists by what they are made of. The zero value is empty.
type sharedLists[T any] struct {
	mu    sync.Mutex // guards the following
	lists map[string][]T
	bytes int // of the keys
}

// find returns the list that is shared under a key, or what create returns. A key of ""
// is not shared.
func (s *sharedLists[T]) find(key string, create func() ([]T, error)) ([]T, error) {
	if key == "" {
		return create()
	}
	s.mu.Lock()
	list, ok := s.lists[key]
	s.mu.Unlock()
	if ok {
		return list, nil
	}
	list, err := create()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lists == nil || s.bytes+len(key) > maxSharedBytes {
		s.lists, s.bytes = make(map[string][]T), 0 // who has lists keeps them
	}
	if earlier, ok := s.lists[key]; ok {
		return earlier, nil
	}
	s.lists[key] = list
	s.bytes += len(key)
	return list, nil
}

// sharedKey returns the key of a list of texts of a kind, or "" where it is too long.
func sharedKey(kind string, texts []string) string {
	n := len(kind)
	for _, text := range texts {
		if n += len(text) + 4; n > maxSharedKey {
			return ""
		}
	}
	var key strings.Builder
	key.Grow(n)
	key.WriteString(kind)
	for _, text := range texts {
		key.WriteString(strconv.Itoa(len(text)))
		key.WriteByte(':')
		key.WriteString(text)
	}
	return key.String()
}

// shareTexts returns a list that equals texts.
func shareTexts(texts []string) []string {
	if len(texts) == 0 {
		return texts
	}
	shared, err := sharedTexts.find(sharedKey("", texts), func() ([]string, error) { return texts, nil })
	if err != nil {
		return texts // it never fails
	}
	return shared
}
