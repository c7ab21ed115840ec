// Package frames is the STOMP codec: versions 1.0, 1.1 and 1.2 of the
// specification at https://stomp.github.io.
//
// A [Decoder] is fed bytes as they arrive, in pieces of any size, and yields
// frames; [Append] writes a frame. One decoded frame costs one allocation: its
// headers and its body are views of a single private copy of its bytes, so
// they stay valid for as long as something refers to them.
//
// The package knows nothing of connections, sessions or destinations, and
// imports no other package of this module.
package frames
