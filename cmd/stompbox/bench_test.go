//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchChildren returns the processes that a benchmark has started and that run, by the end of
// their command: "serve" or "swarm".
func benchChildren(t *testing.T, parent int) map[int]string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	found := make(map[int]string)
	for _, dir := range all {
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		command, _ := os.ReadFile(dir + "/cmdline")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) && fields[0] != "Z" {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			for _, what := range []string{"serve", "swarm"} {
				if slices.Contains(strings.Split(string(command), "\x00"), what) {
					found[pid] = what
				}
			}
		}
	}
	return found
}

// runs reports whether a process runs, and is not only waited for.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// benchCommand is a benchmark with what it said.
type benchCommand struct {
	*exec.Cmd
	out, errs bytes.Buffer
}

// idleBench starts a benchmark of idle connections, and returns when all are connected.
func idleBench(t *testing.T, temp string, args ...string) (cmd *benchCommand, server int) {
	t.Helper()
	cmd = &benchCommand{Cmd: command(t, []string{"TMPDIR=" + temp}, append([]string{"bench"}, args...)...)}
	cmd.Stdout, cmd.Stderr = &cmd.out, &cmd.errs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Eventually(t, func() bool {
		for pid, what := range benchChildren(t, cmd.Process.Pid) {
			if what == "serve" {
				server = pid
			}
		}
		return server != 0 && socketsOf(server) >= 20
	}, time.Minute, 10*time.Millisecond)
	return cmd, server
}

// socketsOf counts the sockets that a process has.
func socketsOf(pid int) (n int) {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range all {
		if to, _ := os.Readlink(fd); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// TestAnInterruptedBenchmarkHasNoFigures: neither one that is interrupted, nor one whose server dies.
func TestAnInterruptedBenchmarkHasNoFigures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		end  func(bench, server int) error
		want string
	}{
		"interrupt":            {[]string{"idle"}, func(bench, _ int) error { return syscall.Kill(bench, syscall.SIGINT) }, "interrupt"},
		"terminated":           {[]string{"private"}, func(bench, _ int) error { return syscall.Kill(bench, syscall.SIGTERM) }, "terminated"},
		"the server is killed": {[]string{"idle"}, func(_, server int) error { return syscall.Kill(server, syscall.SIGKILL) }, "the broker ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			temp := t.TempDir()
			cmd, server := idleBench(t, temp, append(c.args, "--connections", "20", "--rounds", "1")...)
			require.NoError(t, c.end(cmd.Process.Pid, server))
			require.Error(t, cmd.Wait())
			require.Empty(t, cmd.out.String())
			require.Contains(t, cmd.errs.String(), c.want)
			require.Eventually(t, func() bool { return !runs(server) && isEmpty(temp) }, time.Minute, 10*time.Millisecond)
		})
	}
}

// TestAKilledBenchmarkLeavesNoProcesses of its own.
func TestAKilledBenchmarkLeavesNoProcesses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"idle", "--connections", "20"}, {"connections", "--connections", "20"}} {
		temp := t.TempDir()
		cmd, server := idleBench(t, temp, args...)
		children := benchChildren(t, cmd.Process.Pid)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.Contains(t, children, server)
		for pid, what := range children {
			require.Eventually(t, func() bool { return !runs(pid) }, time.Minute, 10*time.Millisecond, "%s still runs", what)
		}
		require.False(t, isEmpty(temp))
		_, _, err := run(t, []string{"TMPDIR=" + temp}, "bench", "fanout", "--server", "/bin/false")
		require.Error(t, err)
		require.True(t, isEmpty(temp), "the next benchmark removes what the killed one left")
	}
}

// TestABenchmarkThatCannotStartLeavesNothing: a program that is no broker.
func TestABenchmarkThatCannotStartLeavesNothing(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	for _, args := range [][]string{
		{"fanout", "--server", "/bin/false"}, {"guard", "--base", "/bin/false", "--only", "fanout"},
	} {
		_, stderr, err := run(t, []string{"TMPDIR=" + temp}, append([]string{"bench"}, args...)...)
		require.Error(t, err)
		require.Contains(t, stderr, "/bin/false token: exit status 1")
		require.Eventually(t, func() bool { return isEmpty(temp) }, time.Minute, 10*time.Millisecond)
	}
}

func isEmpty(dir string) bool {
	left, err := os.ReadDir(dir)
	return err == nil && len(left) == 0
}

// TestABenchmarkNoticesWhatIsWrong: messages that come twice, though only the last of a round, and
// a connection that is lost while it is idle.
func TestABenchmarkNoticesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, fault, want string }{
		{"fanout --connections 3 --messages 20", "19", "message 19 came in place of 20"},
		{"cluster --connections 3 --messages 20", "19", "message 19 came in place of 20"},
		{"sse --connections 3 --messages 20", "19 of a stream", "message 19 came in place of 20"},
		{"pingpong --messages 20", "19", "message 19 came in place of 20"},
		{"history --messages 20", "19", "message 19 came in place of 20"},
		{"resume --connections 3 --messages 20", "19", "message 19 came in place of 20"},
		{"queue --connections 1 --messages 20", "19", "in place of RECEIPT"},
		{"queue --connections 1 --messages 20", "5", "a message came twice"},
		{"app --connections 1 --messages 20 --rate 1000", "19", "request 19 came to the app server twice"},
		{"app --connections 1 --messages 20 --rate 1000", "5", "twice"},
		{"idle --connections 3", "cut", "connection 1 of 3: "},
	} {
		t.Run(c.args+" "+c.fault, func(t *testing.T) {
			t.Parallel()
			out, stderr, err := run(t, []string{"TEST_AS_FAULTY=" + c.fault}, append([]string{"bench", "--server", os.Args[0], "--rounds", "1"}, strings.Fields(c.args)...)...)
			require.Error(t, err)
			require.Contains(t, stderr, c.want)
			require.NotContains(t, out, "median:")
		})
	}
}

// serveFaulty is a broker behind a proxy with a fault: it sends the message of a number twice, the
// same to streams of events only, or cuts WebSockets a second after their first RECEIPT.
func serveFaulty(fault string) {
	behind, err := freeAddress()
	if err != nil {
		panic(err)
	}
	at := slices.Index(os.Args, "--http") + 1
	address := os.Args[at]
	os.Args[at] = behind
	ended := make(chan struct{})
	go func() { defer close(ended); main() }()
	for {
		c, err := net.Dial("tcp", behind)
		if err == nil {
			_ = c.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", behind)
			if err != nil {
				panic(err)
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() { passFaulty(client, server, fault); _ = client.Close() }()
		}
	}()
	<-ended
}

// passFaulty passes what a server sends.
func passFaulty(client, server net.Conn, fault string) {
	r := bufio.NewReader(server)
	ofStreams, isOfStreams := strings.CutSuffix(fault, " of a stream")
	upgraded := false
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return
		}
		upgraded = upgraded || strings.HasPrefix(line, "HTTP/1.1 101 ")
		_, _ = io.WriteString(client, line)
	}
	for !upgraded {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if isOfStreams && strings.HasPrefix(line, "data: "+ofStreams+" ") {
			line += line
		}
		_, _ = io.WriteString(client, line)
	}
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		length := int(head[1])
		if length == 126 {
			head = append(head, 0, 0)
			if _, err := io.ReadFull(r, head[2:]); err != nil {
				return
			}
			length = int(binary.BigEndian.Uint16(head[2:]))
		}
		payload := make([]byte, length)
		if _, err := io.ReadFull(r, payload); err != nil {
			return
		}
		frame := append(head, payload...)
		switch {
		case bytes.HasPrefix(payload, []byte("MESSAGE\n")) && bytes.Contains(payload, []byte("\n\n"+fault+" ")):
			frame = append(frame, frame...)
		case fault == "cut" && bytes.HasPrefix(payload, []byte("RECEIPT\n")):
			time.AfterFunc(time.Second, func() { _ = client.Close() })
		}
		if _, err := client.Write(frame); err != nil {
			return
		}
	}
}

// TestBenchConnectionsTurnsNoLimitOff: what counts connections and messages is part of what they take.
func TestBenchConnectionsTurnsNoLimitOff(t *testing.T) {
	t.Parallel()
	require.NotRegexp(t, `: 0\b`, connectionsLimits)
	require.Regexp(t, `address_connect_rate: \d{7}`, connectionsLimits)
}

// TestABenchmarkNeedsOpenFiles: it says so, in place of connections that fail.
func TestABenchmarkNeedsOpenFiles(t *testing.T) {
	t.Parallel()
	limit := func() (soft, hard uint64, err error) { return 2048, 2048, nil } // of which 256 are reserved
	for args, wrong := range map[string]string{
		"fanout --connections 1792": "",
		"fanout --connections 1793": "--connections: 1793 are more than the 1792 that the limit of open files (2048) leaves room for; raise it with ulimit -n, or use fewer",
		"idle":                      "--connections: 5000 are more than the 1792 that",
		"connections --connections 100,3584,10 --nodes 2": "",
		"connections --connections 100,3585,10 --nodes 2": "--connections: 3585 are more than the 3584 that",
		"pingpong": "",
	} {
		cmd, flags, err := newBench().Find(strings.Fields(args))
		require.NoError(t, err)
		require.NoError(t, cmd.ParseFlags(flags))
		if err = checkOpenFiles(cmd.Flags(), limit); wrong == "" {
			require.NoError(t, err, args)
		} else {
			require.ErrorContains(t, err, wrong, args)
		}
	}
}
