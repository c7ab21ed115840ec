package problem

import "net/http"

// Mux answers what a mux does not serve with problem documents, in place of its own text. The
// hint is added to the detail of a path that is not there, such as where all paths are listed.
func Mux(mux *http.ServeMux, hint string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal, pattern := mux.Handler(r)
		if pattern != "" || r.RequestURI == "*" {
			mux.ServeHTTP(w, r)
			return
		}
		said := refusalWriter{header: make(http.Header)}
		refusal.ServeHTTP(&said, r)
		where := Truncate(r.URL.Path)
		if allowed := said.header.Get("Allow"); said.status == http.StatusMethodNotAllowed && allowed != "" {
			w.Header().Set("Allow", allowed)
			Write(w, New(said.status, Truncate(r.Method)+" is not supported by "+where+"; use "+allowed))
			return
		}
		Write(w, New(http.StatusNotFound, "there is no "+where+" here"+hint))
	})
}

// refusalWriter keeps what a mux answers to requests that it does not serve.
type refusalWriter struct {
	header http.Header
	status int
}

func (w *refusalWriter) Header() http.Header         { return w.header }
func (w *refusalWriter) WriteHeader(status int)      { w.status = status }
func (w *refusalWriter) Write(p []byte) (int, error) { return len(p), nil }
