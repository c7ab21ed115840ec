package top

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stompbox/stompbox/broker/admin"
)

// Order says which sessions come first.
type Order string

// The orders of sessions.
const (
	BySlowest Order = "slowest" // those whose clients do not read what waits for them
	ByIn      Order = "in"      // those that send the most bytes a second
	ByOut     Order = "out"     // those that get the most bytes a second
	ByUser    Order = "user"
)

// Orders are all of them.
func Orders() []Order { return []Order{BySlowest, ByIn, ByOut, ByUser} }

// ParseOrder returns the order of a name.
func ParseOrder(name string) (Order, error) {
	if order := Order(name); slices.Contains(Orders(), order) {
		return order, nil
	}
	return "", fmt.Errorf("--order %s: use slowest, in, out or user", name)
}

// OfAPI is the order in which the API has to list sessions, where there are more than it lists.
func (o Order) OfAPI() string {
	switch o {
	case ByIn, ByOut:
		return string(admin.ByBytes)
	case ByUser:
		return "name"
	}
	return string(admin.BySlowness)
}

func (o Order) sort(sessions []session) {
	slices.SortStableFunc(sessions, func(a, b session) int {
		byUser := cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.ID, b.ID))
		switch o {
		case ByIn:
			return cmp.Or(cmp.Compare(b.in, a.in), byUser)
		case ByOut:
			return cmp.Or(cmp.Compare(b.out, a.out), byUser)
		case ByUser:
			return byUser
		}
		return cmp.Or(cmp.Compare(b.Writing, a.Writing), cmp.Compare(b.QueuedBytes, a.QueuedBytes), byUser)
	})
}
