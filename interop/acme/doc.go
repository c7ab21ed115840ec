// Package acme has tests alone: the broker gets certificates from Pebble, the test server of
// Let's Encrypt. It is a module of its own, so that Pebble is no dependency of the broker.
package acme
