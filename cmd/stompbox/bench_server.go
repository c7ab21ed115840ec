package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// benchServer is the broker under measurement, in a process of its own.
type benchServer struct {
	cmd     *exec.Cmd
	program string
	dir     string
	address string
	token   string
	tls     *tls.Config        // how clients trust its certificate, nil without TLS
	beats   bool               // clients have heart-beats
	opened  func(*benchClient) // called for each subscriber, or nil
}

// benchSecret signs the tokens of a benchmark, so that JWT is part of it.
const benchSecret = "a secret for benchmarks on loopback, 32 bytes or more"

// startBenchServer runs a broker with its defaults, except for what args change. The program
// is this one where it is "".
func startBenchServer(ctx context.Context, program string, args ...string) (*benchServer, error) {
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		program = self
	}
	dir, err := os.MkdirTemp("", "stompbox-bench")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &benchServer{program: program, dir: dir, address: address}
	env := append(os.Environ(), "STOMPBOX_AUTH_JWT_SECRET="+benchSecret, "STOMPBOX_LIMITS_MESSAGE_RATE=10000000", "STOMPBOX_LOG_LEVEL=warn")
	token := exec.CommandContext(ctx, program, "token", "--user", "bench", "--send", "/topic/**", "--send", "/queue/**", "--send", "/app/**", "--serve", "/app/**", "--subscribe", "/topic/**", "--subscribe", "/queue/**")
	token.Env, token.Stderr = env, os.Stderr
	text, err := token.Output()
	if err != nil {
		return nil, err
	}
	s.token = strings.TrimSpace(string(text))
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(ctx, program, append([]string{"serve", "--http", address, "--metrics", metrics, "--data-dir", dir}, args...)...)
	s.cmd.Env, s.cmd.Stderr = append(env, "STOMPBOX_METRICS_PPROF=true"), os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 1200 { // a minute, on a busy machine
		if c, err := net.Dial("tcp", address); err == nil {
			return s, c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("the broker did not start on %s", address)
}

// another starts one more server of the same program.
func (s *benchServer) another(ctx context.Context, args ...string) (*benchServer, error) {
	return startBenchServer(ctx, s.program, args...)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *benchServer) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir)
}

// clockTick is the unit of CPU times in /proc, which Linux fixes for programs.
const clockTick = 10 * time.Millisecond

// cpu returns the CPU time that the server has used, in user and system mode.
func (s *benchServer) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * clockTick
}

// rss returns the server's resident memory in bytes.
func (s *benchServer) rss() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kb * 1024
		}
	}
	return 0
}
