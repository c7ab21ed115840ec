// Package memlimit finds out how much memory the process may use, and has Go keep to it.
package memlimit

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// share is the part of the limit of a control group that Go's memory may take. The rest is for
// what Go does not count, such as files that are mapped.
const share = 0.9

// Set has Go collect garbage more often as the process comes near the limit of its control
// group, unless GOMEMLIMIT says when. It returns the memory that the process may use, in bytes: as
// much as the control group, GOMEMLIMIT and the machine allow, or 0 where that is not known.
func Set() int64 {
	return set("/", os.Getenv("GOMEMLIMIT") != "", debug.SetMemoryLimit)
}

func set(root string, chosen bool, setLimit func(int64) int64) int64 {
	group := groupLimit(root)
	if group < math.MaxInt64 && !chosen {
		setLimit(int64(float64(group) * share))
	}
	limit := min(group, machine(root))
	if chosen {
		limit = min(limit, setLimit(-1)) // which only asks
	}
	if limit == math.MaxInt64 {
		return 0
	}
	return limit
}

// groupLimit is the least limit of the control groups that the process is in, of version 1 or 2.
func groupLimit(root string) int64 {
	limit := int64(math.MaxInt64)
	text, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	for line := range strings.Lines(string(text)) {
		words := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(words) < 3 {
			continue
		}
		folder, file := "sys/fs/cgroup", "memory.max"
		switch {
		case words[1] == "":
		case strings.Contains(","+words[1]+",", ",memory,"):
			folder, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// A container may see its own group at the top, whatever the path says.
		for group := path.Clean("/" + words[2]); ; group = path.Dir(group) {
			limit = min(limit, number(filepath.Join(root, folder, group, file)))
			if group == "/" {
				break
			}
		}
	}
	return limit
}

// number reads a limit. One that is not there, such as max, is the largest number.
func number(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}

// machine is the memory of the machine.
func machine(root string) int64 {
	text, _ := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == "MemTotal:" && words[2] == "kB" {
			if n, err := strconv.ParseInt(words[1], 10, 64); err == nil && n > 0 && n < math.MaxInt64>>10 {
				return n << 10
			}
		}
	}
	return math.MaxInt64
}
