package bench

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpenAllReturnsAllOrClosesAll(t *testing.T) {
	type opened struct{ number int }
	all, err := OpenAll(100, func(i int) (*opened, error) { return &opened{i}, nil }, func(*opened) { t.Error("it was closed") })
	require.NoError(t, err)
	for i, c := range all {
		require.Equal(t, i, c.number)
	}
	closed := make(map[int]bool)
	broken := errors.New("no more")
	all, err = OpenAll(100, func(i int) (*opened, error) {
		switch i {
		case 50:
			return nil, broken // it did not open
		case 51:
			return &opened{i}, broken // it did, and could not subscribe
		}
		return &opened{i}, nil
	}, func(c *opened) { closed[c.number] = true })
	require.ErrorIs(t, err, broken)
	require.Empty(t, all)
	require.Len(t, closed, 99)
	require.False(t, closed[50])
}
