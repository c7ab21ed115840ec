package credentials_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/credentials"
)

type known struct{ error }

func (known) KnownUser() string { return "eve" }

// TestARefusalNamesAUserThatIsKnown, such as one who is banned.
func TestARefusalNamesAUserThatIsKnown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	refusals := credentials.NewRefusals(slog.New(slog.NewTextHandler(&out, nil)))
	r := httptest.NewRequest("GET", "/api/users", nil)
	refusals.Report(r, errors.New("wrong"))
	require.NotContains(t, out.String(), "user=")
	refusals.Report(r, fmt.Errorf("refused: %w", known{errors.New("banned")}))
	require.Contains(t, out.String(), `error="refused: banned" user=eve`)
}
