package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stompbox/stompbox/internal/bench"
)

// benchRun is what all servers of a round have in common.
type benchRun struct {
	program string                  // "" is this one
	size    int                     // bytes in a body
	fail    context.CancelCauseFunc // ends the round: what it measured is worth nothing
}

// oneRun runs a round. The error says why it was ended, where it was: an interrupt, a time that is
// over, or a server that ended.
func oneRun(ctx context.Context, o benchOptions, limit time.Duration, measure func(context.Context, benchRun) error) error {
	ctx, stop := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
	defer stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	err := measure(ctx, benchRun{program: o.server, size: o.size, fail: fail})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// pause waits, and returns early with the error that ends the round.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// benchServer is the broker under measurement, in a process of its own.
type benchServer struct {
	benchRun
	cmd      *exec.Cmd
	stopping atomic.Bool
	ended    chan struct{}
	folder   *bench.Dir
	dir      string // its path
	address  string
	token    string
	tls      *tls.Config        // how clients trust its certificate, nil without TLS
	opened   func(*benchClient) // called for each subscriber, or nil
	beats    beater
}

// benchSecret signs the tokens of a benchmark, so that JWT is part of it.
const benchSecret = "a secret for benchmarks on loopback, 32 bytes or more"

// startBenchServer runs a broker with its defaults, except for what args change.
func startBenchServer(ctx context.Context, run benchRun, args ...string) (s *benchServer, err error) {
	if run.program == "" {
		if run.program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	folder, err := bench.NewDir()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = folder.Remove()
		}
	}()
	s = &benchServer{benchRun: run, ended: make(chan struct{}), folder: folder, dir: folder.Path}
	if s.address, err = freeAddress(); err != nil {
		return nil, err
	}
	env := append(os.Environ(), "STOMPBOX_AUTH_JWT_SECRET="+benchSecret, "STOMPBOX_LIMITS_MESSAGE_RATE=10000000", "STOMPBOX_LOG_LEVEL=warn")
	token := exec.CommandContext(ctx, s.program, "token", "--user", "bench", "--send", "/topic/**", "--send", "/queue/**", "--send", "/app/**", "--serve", "/app/**", "--subscribe", "/topic/**", "--subscribe", "/queue/**")
	token.Env, token.Stderr = env, os.Stderr
	text, err := token.Output()
	if err != nil {
		return nil, fmt.Errorf("%s token: %w", s.program, err)
	}
	s.token = strings.TrimSpace(string(text))
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(ctx, s.program, append([]string{"serve", "--http", s.address, "--metrics", metrics, "--data-dir", s.dir}, args...)...)
	s.cmd.Env, s.cmd.Stderr, s.cmd.SysProcAttr = append(env, "STOMPBOX_METRICS_PPROF=true"), os.Stderr, benchProcess()
	if folder.Lock != nil { // the server may outlive this process
		s.cmd.ExtraFiles = []*os.File{folder.Lock}
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go s.watch()
	if err := s.awaitStart(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// watch ends the round if the server ends before it is stopped. A client may see that first, and have
// it stopped.
func (s *benchServer) watch() {
	err := s.cmd.Wait()
	status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	killed := ok && status.Signaled() && status.Signal() != syscall.SIGTERM
	if !s.stopping.Load() || killed {
		s.fail(endedWith(err))
	}
	close(s.ended)
}

func endedWith(err error) error {
	if err == nil {
		return errors.New("the broker ended, without an error")
	}
	return fmt.Errorf("the broker ended: %w", err)
}

func (s *benchServer) awaitStart() error {
	for range 1200 { // a minute, on a busy machine
		if c, err := net.Dial("tcp", s.address); err == nil {
			return c.Close()
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the broker ended before it was on %s", s.address)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("the broker did not start on %s", s.address)
}

// another starts one more server of the same program.
func (s *benchServer) another(ctx context.Context, args ...string) (*benchServer, error) {
	return startBenchServer(ctx, s.benchRun, args...)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *benchServer) stop() {
	s.stopping.Store(true)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.ended
	s.beats.stop()
	_ = s.folder.Remove()
}

// cpu returns the CPU time that the server has used. If there is none, the round fails.
func (s *benchServer) cpu() time.Duration {
	used, err := processCPU(s.cmd.Process.Pid)
	if err != nil {
		s.fail(fmt.Errorf("the CPU time of the broker: %w", err))
	}
	return used
}

// rss returns the server's resident memory in bytes. If there is none, the round fails.
func (s *benchServer) rss() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kb * 1024
		}
	}
	if err == nil {
		err = errors.New("its process has none") // it has ended, and was not waited for
	}
	s.fail(fmt.Errorf("the memory of the broker: %w", err))
	return 0
}
