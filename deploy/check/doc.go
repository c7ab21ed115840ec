// Package check tests what deploy/ holds, with the tools that will read it: Helm's
// renderer and linter, the schemas of Kubernetes, Compose's loader, BuildKit's linter,
// and stompbox itself. It is a module of its own, so that the broker's go.mod does
// without them.
package check
