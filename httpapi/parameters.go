package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
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

// mayRepeat are the parameters that a request may have several times.
var mayRepeat = []string{"header"}

// mayBeEmpty are those that an empty value leaves as without them.
var mayBeEmpty = []string{"reason"}

// checkParameters refuses parameters that cannot be read, and those of a request that changes
// something which it does not have, or which are empty or there twice: to ignore one could end or
// remove more than was meant.
func checkParameters(pattern string, r *http.Request) error {
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.New(http.StatusBadRequest, "the parameters cannot be read: "+problem.Truncate(err.Error())+"; encode each name and value")
	}
	if r.Method == http.MethodGet {
		return nil
	}
	known, described := queryParameters()[pattern]
	for name, values := range given {
		switch {
		case described && len(values) > 1 && !slices.Contains(mayRepeat, name):
			return problem.New(http.StatusBadRequest, "the parameter "+problem.Truncate(name)+" is there twice; keep one of them")
		case described && strings.TrimSpace(values[0]) == "" && !slices.Contains(mayBeEmpty, name):
			return problem.New(http.StatusBadRequest, "the parameter "+problem.Truncate(name)+" is empty; give it a value, or leave it out")
		case !described || slices.Contains(known, name):
		case len(known) == 0:
			return problem.New(http.StatusBadRequest, "there is no parameter "+problem.Truncate(name)+"; this request has none")
		default:
			return problem.New(http.StatusBadRequest, "there is no parameter "+problem.Truncate(name)+"; use "+strings.Join(known, ", "))
		}
	}
	return nil
}
