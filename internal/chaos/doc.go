// Command chaos has three real nodes carry a mixed load while it kills, pauses, restarts
// and partitions them, and then checks with a ledger that nothing confirmed was lost,
// repeated without a mark, or changed in order. `make chaos` runs it.
//
// The names of the files say what they are about: node_ the processes and the network
// between them, fault_ what happens to them, load_ the clients, ledger_ what they saw, and
// check_ what is wrong with it.
package main
