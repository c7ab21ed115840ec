// Package doctor checks what a node needs of its machine and of its neighbours, and
// says what to do about what it lacks.
package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/tracing"
)

// Status is the outcome of a check.
type Status string

// The statuses, from best to worst. A node with a warning serves; one with a failure
// will not, or will turn clients away.
const (
	OK      Status = "ok"
	Warning Status = "warn"
	Failure Status = "fail"
)

// Result is what one check found.
type Result struct {
	Check   string `json:"check"`
	Status  Status `json:"status"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"` // what to do; empty when there is nothing
}

// Options say what to check.
type Options struct {
	// Config is the configuration, and ConfigError what is wrong with it.
	Config      *config.Config
	ConfigError error
	// Running says that a broker with this configuration answers on this machine, so
	// that its ports and its data directory are in use.
	Running bool
	// NotReady is why that broker takes no clients now, or empty.
	NotReady string
	// Timeout bounds each question to another machine. Default 10 s.
	Timeout time.Duration
	// Now is the time of day. Default time.Now.
	Now func() time.Time
}

// examination is one run.
type examination struct {
	Options
	c *config.Config
}

// Run does all checks, at the same time, and returns their results in a fixed order.
func Run(ctx context.Context, o Options) []Result {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &examination{Options: o, c: o.Config}
	checks := []func(context.Context, *examination) []Result{checkConfiguration, checkTraces}
	if e.c != nil {
		checks = append(checks, checkReadiness, checkFiles, checkClock, checkSecrets, checkCertificates, checkListeners, checkDataDir, checkKeySet, checkNATS, checkPeers)
	}
	found := make([][]Result, len(checks))
	var running sync.WaitGroup
	for i, check := range checks {
		running.Go(func() { found[i] = check(ctx, e) })
	}
	running.Wait()
	var all []Result
	for _, results := range found {
		all = append(all, results...)
	}
	return all
}

// Count returns how many results have a status.
func Count(results []Result, status Status) (n int) {
	for _, r := range results {
		if r.Status == status {
			n++
		}
	}
	return n
}

// Print writes results for people.
func Print(w io.Writer, results []Result) error {
	width := 0
	for _, r := range results {
		width = max(width, len(r.Check))
	}
	for _, r := range results {
		if _, err := fmt.Fprintf(w, "%-4s  %-*s  %s\n", r.Status, width, r.Check, oneLine(r.Message)); err != nil {
			return err
		}
		if r.Remedy != "" {
			if _, err := fmt.Fprintf(w, "      %-*s  -> %s\n", width, "", oneLine(r.Remedy)); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "%d ok, %d warnings, %d failures\n", Count(results, OK), Count(results, Warning), Count(results, Failure))
	return err
}

// oneLine keeps what other machines say from looking like lines of their own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func ok(check, format string, args ...any) Result {
	return Result{Check: check, Status: OK, Message: fmt.Sprintf(format, args...)}
}

func warn(check, remedy, format string, args ...any) Result {
	return Result{Check: check, Status: Warning, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

func fail(check, remedy, format string, args ...any) Result {
	return Result{Check: check, Status: Failure, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

// checkReadiness passes on what /readyz of the broker that runs says.
func checkReadiness(_ context.Context, e *examination) []Result {
	const check = "readiness"
	switch {
	case !e.Running:
		return nil
	case e.NotReady != "":
		remedy := "see the other lines, and the broker's log"
		if len(e.c.Cluster.Peers) > 0 {
			remedy += "; more than half of the nodes have to run, and to reach each other"
		}
		return []Result{fail(check, remedy, "the broker runs, but is not ready: %s", e.NotReady)}
	}
	return []Result{ok(check, "the broker runs, and is ready")}
}

// checkTraces looks at the variables of OpenTelemetry.
func checkTraces(context.Context, *examination) (all []Result) {
	const check, remedy = "traces", "correct the variable, or unset it; docs/operations.md has those of traces"
	warnings, err := tracing.CheckEnvironment()
	for _, text := range warnings {
		all = append(all, warn(check, remedy, "%s", text))
	}
	if err != nil {
		all = append(all, fail(check, remedy, "%v", err))
	}
	return all
}

func checkConfiguration(_ context.Context, e *examination) []Result {
	const check = "configuration"
	if e.ConfigError != nil {
		return []Result{fail(check, "stompbox.example.yaml explains all keys; openssl rand -base64 32 makes a secret", "%v", e.ConfigError)}
	}
	if e.c.Dev {
		return []Result{warn(check, "configure keys, and leave dev out, before others reach this broker", "development mode lets everybody in as guest")}
	}
	if idle := config.WithoutEffect(e.c); len(idle) > 0 {
		return []Result{warn(check, "set what they need, or leave them out", "some settings have no effect: %s", strings.Join(idle, "; "))}
	}
	return []Result{ok(check, "the file and the variables are fine")}
}
