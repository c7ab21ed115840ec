// Package gateway connects clients to a broker: [NewWebSocket] and [NewSockJS] return handlers of
// STOMP for browsers, which fit any http.ServeMux, [NewEvents] one of server-sent events, and
// [NewTCP] serves STOMP on a listener. Each turns the bytes of a connection into a
// [broker.Session].
package gateway
