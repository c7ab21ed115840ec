// Package documents has the tests of README.md, docs/ and examples/README.md: their links
// lead somewhere, their blocks run, and their words are those of the house.
package documents
