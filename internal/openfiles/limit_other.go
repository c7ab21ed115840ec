//go:build !unix

package openfiles

import "math"

// Limit returns that there is none.
func Limit() (soft, hard uint64, err error) { return math.MaxUint64, math.MaxUint64, nil }
