package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// benchProcess has a process of a benchmark end with the benchmark, however that ends.
func benchProcess() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// processCPU returns the CPU time that a process has used, in user and system mode, of all
// threads that it has or had. It is exact; the times in /proc have a tick of 10 ms.
func processCPU(pid int) (time.Duration, error) {
	// The clock of a process, as clock_getcpuclockid(3) makes its id.
	const scheduled = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}
