// Package gateway is the ways into a broker: STOMP over WebSocket, which
// [Handler] serves in any http.ServeMux, and STOMP over TCP, which [TCP]
// serves on a listener. Each turns octets into a [broker.Session].
package gateway
