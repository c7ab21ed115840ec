// Package httpapi is the HTTP API of a broker: it sends messages, and shows and manages
// queues, users and destinations. [New] returns its handler.
package httpapi
