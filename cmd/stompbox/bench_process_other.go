//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

func benchProcess() *syscall.SysProcAttr { return nil }

func processCPU(int) (time.Duration, error) {
	return 0, errors.New("benchmarks can measure it on Linux only")
}
