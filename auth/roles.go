package auth

import "strings"

// Roles are grants by the names of roles.
type Roles map[string]Grants

// Find returns the grants of a role. A name that differs only in case also matches, if it is
// unambiguous.
func (r Roles) Find(name string) (Grants, bool) {
	return r.index().find(name)
}

// roleIndex finds roles, of which a token may name many.
type roleIndex struct {
	exact  Roles
	folded map[string]*Grants // by names in lower case; nil where several roles share one
}

func (r Roles) index() roleIndex {
	i := roleIndex{exact: r, folded: make(map[string]*Grants, len(r))}
	for name, grants := range r {
		lower := strings.ToLower(name)
		if _, shared := i.folded[lower]; shared {
			i.folded[lower] = nil
			continue
		}
		i.folded[lower] = &grants
	}
	return i
}

func (i roleIndex) find(name string) (Grants, bool) {
	if grants, ok := i.exact[name]; ok {
		return grants, true
	}
	if grants := i.folded[strings.ToLower(name)]; grants != nil {
		return *grants, true
	}
	return Grants{}, false
}
