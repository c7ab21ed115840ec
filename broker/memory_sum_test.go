package broker_test

import (
	"fmt"
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
)

// TestTheSumOfAllMemoryLimitsIsDocumented: it is what a node has to have memory for.
func TestTheSumOfAllMemoryLimitsIsDocumented(t *testing.T) {
	t.Parallel()
	var user, node int
	quotas := broker.Quotas{}.WithDefaults()
	total := quotas.Memory
	quotas.Memory = broker.ByteLimits{}
	for _, field := range reflect.ValueOf(quotas).Fields() {
		if limits, ok := field.Interface().(broker.ByteLimits); ok {
			user += limits.User
			node += limits.Node
		}
	}
	text, err := os.ReadFile("../docs/limits.md")
	require.NoError(t, err)
	require.Contains(t, string(text), fmt.Sprintf("The limits of the kinds together are %dMiB for one user, and %dMiB for all users", user>>20, node>>20))
	require.Contains(t, string(text), fmt.Sprintf("| `limits.user_memory_bytes` | %dMiB |", total.User>>20))
}
