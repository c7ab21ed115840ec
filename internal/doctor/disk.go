package doctor

import "fmt"

// disk is what is known of a file system.
type disk struct {
	free              uint64 // bytes that this user may still write
	volatile, network bool
}

// bytesText is a size for people.
func bytesText(n uint64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
