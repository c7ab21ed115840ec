package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/stompbox/stompbox/internal/problem"
)

// queryParameters are the names of the parameters of each request, as the description of the API
// has them.
var queryParameters = sync.OnceValue(func() map[string][]string {
	type operation struct {
		Parameters []struct{ Name, In string }
	}
	var document struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(openAPIDocument, &document); err != nil {
		panic(err) // it is compiled in, and tests read it
	}
	all := make(map[string][]string)
	for path, operations := range document.Paths {
		for method, o := range operations {
			names := []string{}
			for _, p := range o.Parameters {
				if p.In == "query" {
					names = append(names, p.Name)
				}
			}
			all[strings.ToUpper(method)+" "+path] = names
		}
	}
	return all
})

// checkParameters refuses parameters of a request that changes something which it does not
// have: to ignore one that is misspelled could end or remove more than was meant.
func checkParameters(pattern string, r *http.Request) error {
	if r.Method == http.MethodGet || r.URL.RawQuery == "" {
		return nil
	}
	known, described := queryParameters()[pattern]
	for name := range r.URL.Query() {
		switch {
		case !described || slices.Contains(known, name):
		case len(known) == 0:
			return problem.New(http.StatusBadRequest, "there is no parameter "+problem.Truncate(name)+"; this request has none")
		default:
			return problem.New(http.StatusBadRequest, "there is no parameter "+problem.Truncate(name)+"; use "+strings.Join(known, ", "))
		}
	}
	return nil
}
