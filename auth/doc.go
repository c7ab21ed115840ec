// Package auth says who a client is and what it may do.
//
// An [Authenticator] turns the credentials of a CONNECT frame into a [Principal]: a JWT that one
// of its [Keys] verifies, or a static login. A Principal carries Permissions, which are patterns
// of destinations to send to, to subscribe to and to serve. Everything else is denied.
//
// The package knows nothing of connections and imports no other package of this
// module.
package auth
