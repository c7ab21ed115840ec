package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server in processes of its own, which are a group.
type process struct {
	cmd     *exec.Cmd
	address string
	log     *os.File
	after   func() // ends what the server leaves behind
}

// clockTick is the unit of CPU times in /proc, which Linux fixes for programs.
const clockTick = 10 * time.Millisecond

// startProcess runs a server, and returns when it takes connections.
func startProcess(ctx context.Context, dir, address string, env []string, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(program, args...), address: address, log: log}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, append(os.Environ(), env...), log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			return p, c.Close()
		}
	}
	p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("%s did not start: %s", program, text[max(0, len(text)-500):])
}

// signal is sent to the whole group, as a service manager does.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// stop ends the server, the hard way after some seconds.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			p.signal(syscall.SIGKILL)
		}
	}()
	_ = p.cmd.Wait()
	close(ended)
	p.end()
}

// end ends what the server left.
func (p *process) end() {
	p.signal(syscall.SIGKILL)
	if p.after != nil {
		p.after()
	}
	_ = p.log.Close()
}

// kill ends the server as a crash does.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
	p.end()
}

// each calls visit with the folder in /proc of each process of the group.
func (p *process) each(visit func(dir string, stat []string)) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		text, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if stat := strings.Fields(rest); len(stat) > 12 && stat[2] == strconv.Itoa(p.cmd.Process.Pid) {
			visit(dir, stat)
		}
	}
}

// cpu is the CPU time of the server, in user and system mode.
func (p *process) cpu() (sum time.Duration) {
	p.each(func(_ string, stat []string) {
		user, _ := strconv.Atoi(stat[11])
		system, _ := strconv.Atoi(stat[12])
		sum += time.Duration(user+system) * clockTick
	})
	return sum
}

// rss is the resident memory of the server in bytes.
func (p *process) rss() (sum int64) {
	p.each(func(dir string, _ []string) {
		text, _ := os.ReadFile(filepath.Join(dir, "status"))
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kb, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
				sum += kb << 10
			}
		}
	})
	return sum
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// times are CPU times of all cores: what was used, and what there was.
type times struct{ used, all time.Duration }

// machineTimes reads those since the machine started.
func machineTimes() (t times) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(strings.TrimPrefix(line, "cpu ")) {
		n, _ := strconv.Atoi(field)
		if i > 7 { // guests are in user time already
			break
		}
		t.all += time.Duration(n) * clockTick
		if i != 3 && i != 4 { // idle, and waiting for a disk
			t.used += time.Duration(n) * clockTick
		}
	}
	return t
}

func (t times) since(before times) times { return times{t.used - before.used, t.all - before.all} }

// others is the share of all cores that other programs used, where ours used so much.
func (t times) others(ours time.Duration) float64 {
	if t.all <= 0 {
		return 0
	}
	return max(0, (t.used-ours).Seconds()/t.all.Seconds())
}

// ownCPU is the CPU time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
