// Package gateway is the ways into a broker: STOMP over WebSocket, which
// [Handler] serves in any http.ServeMux, and STOMP over TCP, which [TCP]
// serves on a listener; [Events] and [SockJS] for browsers, and [API] over HTTP.
// Each but the last turns octets into a [broker.Session]. [Webhook] is a way out: it
// has an HTTP server answer requests to /app.
package gateway
