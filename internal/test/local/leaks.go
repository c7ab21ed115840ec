package local

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// leaksFor is how long goroutines may take to end after the last test. Those of an embedded NATS
// server end after its shutdown, on a busy machine much later.
const leaksFor = 30 * time.Second

// CheckLeaks runs the tests of a package and exits. It fails if goroutines are left.
func CheckLeaks(m *testing.M) {
	code := m.Run()
	for until := time.Now().Add(leaksFor); code == 0; time.Sleep(100 * time.Millisecond) {
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Now().After(until) {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
