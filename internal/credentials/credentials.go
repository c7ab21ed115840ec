// Package credentials finds out who sends an HTTP request.
package credentials

import (
	"net/http"

	"github.com/stompbox/stompbox/auth"
)

// FromHeader returns the credentials of the Authorization header: a token, or a login
// and passcode.
func FromHeader(r *http.Request) auth.Credentials {
	if login, passcode, ok := r.BasicAuth(); ok {
		return auth.Credentials{Login: login, Passcode: passcode}
	}
	return auth.Credentials{Authorization: r.Header.Get("Authorization")}
}
