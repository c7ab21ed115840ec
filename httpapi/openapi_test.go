package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/problem"
	"github.com/stompbox/stompbox/internal/test"
)

// apiServer serves a node's HTTP API. All that goes over it has to be as the OpenAPI
// document says: answers always, and requests that are not refused.
func apiServer(t *testing.T, n *test.Node) *httptest.Server {
	t.Helper()
	handler := httpapi.New(n.Broker, httpapi.Options{})
	router := documentRouter(t, handler)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client went away
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if err := checkAgainst(router, r, body, answer); err != nil {
			t.Errorf("%s %s answers %d %s: %v", r.Method, r.URL, answer.Code, answer.Body, err)
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	return server
}

// documentRouter reads the document as a client would.
func documentRouter(t *testing.T, handler http.Handler) routers.Router {
	t.Helper()
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/openapi.json", nil))
	require.Equal(t, http.StatusOK, answer.Code)
	document, err := openapi3.NewLoader().LoadFromData(answer.Body.Bytes())
	require.NoError(t, err)
	require.NoError(t, document.Validate(t.Context()))
	document.Servers = nil
	router, err := gorillamux.NewRouter(document)
	require.NoError(t, err)
	return router
}

func checkAgainst(router routers.Router, r *http.Request, body []byte, answer *httptest.ResponseRecorder) error {
	route, params, err := router.FindRoute(r)
	if err != nil {
		wrong := errors.Is(err, routers.ErrMethodNotAllowed) && answer.Code == http.StatusMethodNotAllowed
		if wrong || errors.Is(err, routers.ErrPathNotFound) && answer.Code == http.StatusNotFound {
			return nil
		}
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if answer.Code < 400 {
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			return err
		}
	}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: answer.Code, Header: answer.Header(),
		Body: io.NopCloser(bytes.NewReader(answer.Body.Bytes())), Options: input.Options,
	})
}

func TestAllThatTheDocumentSaysIsThere(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	handler := httpapi.New(n.Broker, httpapi.Options{})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &document))
	require.Len(t, document.Paths, 24)
	for path, operations := range document.Paths {
		for method := range operations {
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(strings.ToUpper(method), strings.ReplaceAll(path, "{name}", "alice"), nil))
			require.Equal(t, http.StatusUnauthorized, answer.Code, "%s %s", method, path)
			require.Equal(t, "application/problem+json", answer.Header().Get("Content-Type"))
		}
	}
}

// TestAPathNamesItsMethods in Allow, to a request with another one, and needs no credentials for that.
func TestAPathNamesItsMethods(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	handler := httpapi.New(n.Broker, httpapi.Options{})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &document))
	refused := 0
	for path, operations := range document.Paths {
		var allowed []string
		for method := range operations {
			allowed = append(allowed, strings.ToUpper(method))
		}
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		slices.Sort(allowed)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if slices.Contains(allowed, method) {
				continue
			}
			d, answer := refusal(t, handler, httptest.NewRequest(method, strings.ReplaceAll(path, "{name}", "alice"), nil))
			require.Equal(t, http.StatusMethodNotAllowed, answer.Code, "%s %s", method, path)
			require.Equal(t, strings.Join(allowed, ", "), answer.Header().Get("Allow"), "%s %s", method, path)
			require.Equal(t, problem.CodeMethod, d.Code)
			require.Contains(t, d.Detail, "use "+strings.Join(allowed, ", "))
			refused++
		}
	}
	require.Greater(t, refused, 100)
	for _, path := range []string{"/api/", "/api/sned", "/api/users/", "/api/users/alice/ban", "/api/send/"} {
		d, answer := refusal(t, handler, httptest.NewRequest(http.MethodPost, path, nil))
		require.Equal(t, http.StatusNotFound, answer.Code, path)
		require.Empty(t, answer.Header().Get("Allow"))
		require.Equal(t, problem.CodeNotFound, d.Code)
		require.Contains(t, d.Detail, path+" here; /api/openapi.json")
	}
}

// TestPagesOfOtherOriginsChangeNothing: their browsers say where they are from.
func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	r := httptest.NewRequest(http.MethodPost, "/api/send", strings.NewReader(`{"destination":"/topic/a","body":"x"}`))
	r.Header.Set("Authorization", "Bearer "+test.Token(t, "alice", time.Hour, auth.AllGrants()))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	d, answer := refusal(t, httpapi.New(n.Broker, httpapi.Options{}), r)
	require.Equal(t, http.StatusForbidden, answer.Code)
	require.Equal(t, problem.CodeOrigin, d.Code)
}

// refusal is the problem with which a request is answered.
func refusal(t *testing.T, handler http.Handler, r *http.Request) (d problem.Details, answer *httptest.ResponseRecorder) {
	t.Helper()
	answer = httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	require.Equal(t, problem.ContentType, answer.Header().Get("Content-Type"), "%s %s", r.Method, r.URL)
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &d))
	require.Equal(t, answer.Code, d.Status)
	return d, answer
}
