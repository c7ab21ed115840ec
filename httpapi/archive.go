package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/problem"
)

const (
	// archiveStall is how long a client may neither take anything of a backup, nor send
	// archiveProgress bytes of one.
	archiveStall    = time.Minute
	archiveProgress = 64 << 10
	// maxArchiveEntry bounds what is said of a stream before its messages, and
	// maxArchiveEntries of all of them, in bytes.
	maxArchiveEntry   = 64 << 20
	maxArchiveEntries = 256 << 20
)

// archiveAPI takes out what is kept, and puts it in elsewhere.
type archiveAPI struct{ *api }

// withArchive refuses requests of users that may not see everything, or not send it, and where
// the backend has no archive.
func (a archiveAPI) withArchive(restores bool, handle apiHandler) apiHandler {
	everything, err := destination.ParsePattern("/**")
	if err != nil {
		panic(err)
	}
	return func(ctx context.Context, r request) (any, error) {
		switch {
		case a.archive == nil:
			return nil, problem.New(http.StatusNotImplemented, "the backend of this server makes no backups")
		case restores && !r.principal.Permissions.MaySendAll(everything):
			return nil, problem.New(http.StatusForbidden, "to restore takes send permission for /**")
		case !r.principal.Permissions.MaySubscribe(everything):
			return nil, problem.New(http.StatusForbidden, "a backup takes subscribe permission for /**")
		}
		return handle(ctx, r)
	}
}

// contents lists what a backup would have.
func (a archiveAPI) contents(ctx context.Context, _ request) (any, error) {
	all, err := a.archive.Contents(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{"streams": all}, nil
}

// rawAnswer is an answer that is not JSON.
type rawAnswer func(w http.ResponseWriter)

// export sends the messages of one stream.
func (a archiveAPI) export(_ context.Context, r request) (any, error) {
	name := r.URL.Query().Get("stream")
	all, err := a.archive.Contents(r.Context())
	if err != nil {
		return nil, err
	}
	for _, entry := range all {
		if entry.Name == name {
			a.log.Info("a stream is backed up", "stream", name, "user", r.principal.Name)
			return rawAnswer(func(w http.ResponseWriter) { a.sendExport(w, r, name) }), nil
		}
	}
	return nil, problem.New(http.StatusNotFound, "there is no such stream to back up")
}

func (a archiveAPI) sendExport(w http.ResponseWriter, r request, name string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := a.archive.Export(r.Context(), name, &patientWriter{w, http.NewResponseController(w)}); err != nil {
		a.log.Warn("a backup broke off", "stream", name, "error", err)
		panic(http.ErrAbortHandler) // so that the client does not take it for whole
	}
}

// patientWriter has no end of its own, but no write may take long.
type patientWriter struct {
	io.Writer
	controller *http.ResponseController
}

func (w *patientWriter) Write(p []byte) (int, error) {
	_ = w.controller.SetWriteDeadline(time.Now().Add(archiveStall)) // where there is none, there is nothing to bound
	return w.Writer.Write(p)
}

// patientReader has no end of its own, but what it waits for has to make progress. The time
// that the store takes between reads does not count.
type patientReader struct {
	io.Reader
	controller *http.ResponseController

	waited time.Duration // since the last progress
	came   int
}

func (r *patientReader) Read(p []byte) (int, error) {
	began := time.Now()
	_ = r.controller.SetReadDeadline(began.Add(archiveStall - r.waited))
	_ = r.controller.SetWriteDeadline(began.Add(archiveStall + restoreAnswer))
	n, err := r.Reader.Read(p)
	r.waited += time.Since(began)
	if r.came += n; r.came >= archiveProgress {
		r.waited, r.came = 0, 0
	}
	return n, err
}

// restoreAnswer is how long the store may take to check what was put in, and to copy it to a
// majority of the nodes.
const restoreAnswer = 15 * time.Minute

// checkRestore says whether what a body lists can be restored here.
func (a archiveAPI) checkRestore(ctx context.Context, r request) (any, error) {
	var body struct {
		Streams []driver.ArchiveEntry `json:"streams"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxArchiveEntries)).Decode(&body); err != nil {
		return nil, problem.New(http.StatusBadRequest, "the body is no list of streams: "+problem.Truncate(err.Error()))
	}
	if err := a.archive.CheckImport(ctx, body.Streams); err != nil {
		return nil, archiveProblem(err)
	}
	return map[string]bool{"restorable": true}, nil
}

// restore puts one stream in. The body is a line of JSON that says what it is, and then
// its messages.
func (a archiveAPI) restore(_ context.Context, r request) (any, error) {
	body := bufio.NewReaderSize(&patientReader{Reader: r.Body, controller: http.NewResponseController(r.writer)}, 64<<10)
	line, err := readLine(body, maxArchiveEntry)
	var entry driver.ArchiveEntry
	if err == nil {
		err = json.Unmarshal(line, &entry)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, archiveProblem(err)
	}
	if err != nil {
		return nil, problem.New(http.StatusBadRequest, "the body does not begin with a line of JSON about a stream: "+problem.Truncate(err.Error()))
	}
	err = a.archive.Import(r.Context(), entry, body)
	if err != nil && !errors.Is(err, driver.ErrNotReplicated) {
		return nil, archiveProblem(err)
	}
	a.log.Warn("a stream was restored", "stream", entry.Name, "user", r.principal.Name, "messages", entry.Messages)
	if err != nil {
		a.log.Warn("a restored stream is not on a majority of the nodes; do not stop those that have it", "stream", entry.Name, "error", err)
		return rawAnswer(func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(map[string]any{"restored": entry.Messages, "warning": err.Error()})
		}), nil
	}
	return map[string]uint64{"restored": entry.Messages}, nil
}

func readLine(r *bufio.Reader, limit int) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > limit {
			return nil, errors.New("it is too long")
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func archiveProblem(err error) error {
	switch {
	case errors.Is(err, driver.ErrNotEmpty):
		return problem.New(http.StatusConflict, err.Error())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(http.StatusRequestTimeout, fmt.Sprintf("less than %d bytes of the body came within %s", archiveProgress, archiveStall))
	case errors.Is(err, driver.ErrArchive):
		return problem.New(http.StatusUnprocessableEntity, err.Error())
	}
	return err
}
