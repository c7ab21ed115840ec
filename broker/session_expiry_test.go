package broker

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExpiryMillisNeverWrapsAround(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ends time.Time
		want int64
	}{
		{time.Time{}, 0},
		{time.Unix(0, 0), 1},
		{time.Unix(-1, 0), 1},
		{time.UnixMilli(1700000000123), 1700000000123},
		{time.Unix(9999999999, 0), 9999999999000},
		{time.Unix(1<<60, 0), math.MaxInt64},
		{time.Unix(-1<<60, 0), 1},
	} {
		require.Equal(t, tt.want, expiryMillis(tt.ends), "%s", tt.ends)
	}
}
