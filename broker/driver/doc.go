// Package driver is the contract between the broker and a backend, for the authors of
// backends. Users of the broker need only [Driver], which a backend gives them:
// package relay has one over NATS.
//
// A backend implements [Bus], and of the other interfaces those that it can. Each
// method says what it promises, whether it may block, and which error means what.
// Methods are called by many goroutines at a time.
package driver
