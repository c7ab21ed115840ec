// Command abuse runs a node as in production with 200 clients that behave, and has one
// hostile address and one hostile user do to it what a peer can do. It fails when the
// others notice: when one of them is cut or misses a message, when their messages become
// slow, or when the node grows.
//
// The attacks run in a process of their own that gives way to all others. While it is
// quiet that process keeps the processors as busy, so that what is compared is what the
// node makes of an attack, and not what the attacker's machine costs.
package main
