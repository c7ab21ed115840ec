package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/problem"
	"github.com/stompbox/stompbox/internal/test"
)

// TestReloadIsAsTheDocumentSays: who may ask, and what is answered.
func TestReloadIsAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	var outcome error
	calls := 0
	reload := func(context.Context) (any, error) {
		calls++
		return map[string]any{"changed": []string{"limits.body"}, "need_restart": []any{map[string]string{"key": "http.listen", "why": "x"}}, "sessions": 1, "sessions_ended": 0, "subscriptions_ended": 0}, outcome
	}
	ask := func(o httpapi.Options, send ...string) (int, string) {
		handler := httpapi.New(n.Broker, o)
		r := httptest.NewRequest(http.MethodPost, "/api/reload", nil)
		r.Header.Set("Authorization", "Bearer "+test.Token(t, "alice", time.Hour, auth.Grants{Send: send}))
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		body, err := io.ReadAll(recorder.Body)
		require.NoError(t, err)
		recorder.Body.Write(body)
		require.NoError(t, checkAgainst(documentRouter(t, handler), r, nil, recorder))
		var p struct{ Code string }
		require.NoError(t, json.Unmarshal(body, &p))
		return recorder.Code, p.Code
	}
	type answer struct {
		status int
		code   string
	}
	of := func(status int, code string) answer { return answer{status, code} }
	require.Equal(t, answer{200, ""}, of(ask(httpapi.Options{Reload: reload}, "/session/reload")))
	require.Equal(t, answer{200, ""}, of(ask(httpapi.Options{Reload: reload}, "/**")))
	require.Equal(t, answer{403, "forbidden"}, of(ask(httpapi.Options{Reload: reload}, "/topic/**", "/session/disconnect/*")))
	require.Equal(t, 2, calls)
	require.Equal(t, answer{404, "not-found"}, of(ask(httpapi.Options{}, "/session/reload")))
	outcome = problem.Coded(problem.CodeConfiguration, "limits.body is wrong")
	require.Equal(t, answer{422, "bad-configuration"}, of(ask(httpapi.Options{Reload: reload}, "/session/reload")))
}

// TestReloadsTakeNoTurns: many of one user may wait for the one before them.
func TestReloadsTakeNoTurns(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	begun, end := make(chan struct{}), make(chan struct{})
	handler := httpapi.New(n.Broker, httpapi.Options{Reload: func(context.Context) (any, error) {
		begun <- struct{}{}
		<-end
		return map[string]any{}, nil
	}})
	token := test.Token(t, "alice", time.Hour, auth.Grants{Send: []string{"/session/reload"}})
	statuses := make(chan int)
	const many = 8
	for range many {
		go func() {
			r := httptest.NewRequest(http.MethodPost, "/api/reload", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, r)
			statuses <- recorder.Code
		}()
	}
	for range many {
		select {
		case <-begun:
		case status := <-statuses:
			t.Fatalf("a reload was answered with %d before it began", status)
		}
	}
	close(end)
	for range many {
		require.Equal(t, http.StatusOK, <-statuses)
	}
}
