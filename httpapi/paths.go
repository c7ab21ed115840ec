package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

const userPrefix = "/api/users/"

// userKey is of a user's name in the context of a request whose path cannot have it.
type userKey struct{}

// KeepUserNames has users be found whose names are "/", "." or "..". In the paths of the API
// such a name is one word. An [http.ServeMux] would take it for a step in a tree, also where
// it is percent-encoded. Put it around a mux that serves the API.
func KeepUserNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.EscapedPath(), userPrefix)
		word, action, more := strings.Cut(rest, "/")
		name, err := url.PathUnescape(word)
		if ok && err == nil && isStep(name) {
			kept := r.WithContext(context.WithValue(r.Context(), userKey{}, name))
			u := *r.URL
			u.Path, u.RawPath = userPrefix+encodeStep(name), userPrefix+url.PathEscape(encodeStep(name))
			if more {
				u.Path, u.RawPath = u.Path+"/"+action, u.RawPath+"/"+action
			}
			kept.URL = &u
			r = kept
		}
		next.ServeHTTP(w, r)
	})
}

func isStep(name string) bool { return name == "/" || name == "." || name == ".." }

func encodeStep(name string) string {
	return strings.NewReplacer("/", "%2F", ".", "%2E").Replace(name)
}

// userName is the user in the path.
func (r request) userName() string {
	if name, ok := r.Context().Value(userKey{}).(string); ok {
		return name
	}
	return r.PathValue("name")
}
