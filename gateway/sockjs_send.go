package gateway

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"time"
)

// xhrSend takes messages as a JSON array of strings.
func (h *SockJS) xhrSend(w http.ResponseWriter, r *http.Request) {
	if h.takeMessages(w, r, func(body []byte) []byte { return body }) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// jsonpSend takes messages from a form too, which is all that a page could post to
// another origin.
func (h *SockJS) jsonpSend(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	field := func(body []byte) []byte {
		if kind != "application/x-www-form-urlencoded" {
			return body
		}
		return formField(body, "d")
	}
	if h.takeMessages(w, r, field) {
		_, _ = io.WriteString(w, "ok")
	}
}

// takeMessages handles the messages of a request's body. Otherwise it answers, and
// reports false.
func (h *SockJS) takeMessages(w http.ResponseWriter, r *http.Request, payload func(body []byte) []byte) bool {
	w.Header().Set("Cache-Control", neverCached)
	plainText(w.Header())
	h.pages.sessionCookie(w, r)
	s := h.find(r)
	if s == nil {
		refuseSockJS(w, r, http.StatusNotFound, "there is no such session")
		return false
	}
	body, err := h.readBody(w, r, s)
	defer h.reader.forget(body, s.address)
	if err == nil {
		var messages sockJSMessages
		if messages, err = h.reader.parse(payload(body), s.address); err == nil {
			s.receive(messages)
			return true
		}
	}
	refusal := &bodyRefusal{http.StatusBadRequest, "the body did not come whole"}
	_ = errors.As(err, &refusal)
	refuseSockJS(w, r, refusal.status, refusal.text)
	return false
}

// bodyRefusal is why a body was not taken, as the client reads it.
type bodyRefusal struct {
	status int
	text   string
}

func (b *bodyRefusal) Error() string { return b.text }

// readBody returns the body of a request of a session. One at a time of them is read.
// The caller forgets it, also where there is an error.
func (h *SockJS) readBody(w http.ResponseWriter, r *http.Request, s *sockJSSession) ([]byte, error) {
	late := time.NewTimer(h.options.BodyTimeout)
	defer late.Stop()
	select {
	case s.body <- struct{}{}:
		defer func() { <-s.body }()
	case <-late.C:
		h.refused.timeout.Add(1)
		return nil, &bodyRefusal{http.StatusServiceUnavailable, "another request of the session is still being read"}
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	limit := h.reader.maxMessage(s.session)
	if r.ContentLength > limit {
		h.refused.size.Add(1)
		return nil, &bodyRefusal{http.StatusRequestEntityTooLarge, h.reader.tooLarge(limit)}
	}
	body, err := h.reader.readAll(r.Body, s.address, limit)
	switch {
	case err == nil:
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return body, nil
	case errors.Is(err, errBodyTooLarge):
		return body, &bodyRefusal{http.StatusRequestEntityTooLarge, h.reader.tooLarge(limit)}
	case errors.Is(err, errTooManyBodies):
		return body, &bodyRefusal{http.StatusServiceUnavailable, err.Error()}
	case errors.Is(err, os.ErrDeadlineExceeded):
		h.refused.timeout.Add(1)
		return body, &bodyRefusal{http.StatusRequestTimeout, fmt.Sprintf("the body did not come within %s", h.options.BodyTimeout)}
	}
	return body, err
}

// skipBody reads a body that means nothing, so that net/http can watch for the end of
// the connection, for as long as it takes. It reports false where it answered.
func (h *SockJS) skipBody(w http.ResponseWriter, r *http.Request) bool {
	n, err := io.Copy(io.Discard, io.LimitReader(r.Body, minBody+1))
	switch {
	case n > minBody:
		h.refused.size.Add(1)
		refuseSockJS(w, r, http.StatusRequestEntityTooLarge, "this request takes no body")
	case err != nil:
		h.refused.timeout.Add(1)
		refuseSockJS(w, r, http.StatusRequestTimeout, "the body did not come whole")
	default:
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return true
	}
	return false
}
