package webhook_test

import (
	"testing"

	"github.com/stompbox/stompbox/internal/test/local"
)

func TestMain(m *testing.M) { local.CheckLeaks(m) }
