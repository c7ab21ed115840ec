package httpapi

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/problem"
)

type request struct {
	*http.Request
	principal *auth.Principal
	broker    *broker.Broker
	writer    http.ResponseWriter // of the answer, for its deadlines
	body      *requestBody
}

// requestBody counts what was read of a body.
type requestBody struct {
	io.ReadCloser
	bytes int
	ended bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += n
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// maxDrained is the largest body that may stay unread without that its connection is closed.
const maxDrained = 64 << 10

// closeUnread has the connection closed after the answer where much of the body may follow: the
// HTTP server would read that first.
func (b *requestBody) closeUnread(w http.ResponseWriter, r *http.Request) {
	if !b.ended && r.ProtoMajor == 1 && (r.ContentLength < 0 || r.ContentLength > maxDrained) {
		w.Header().Set("Connection", "close")
	}
}

// maySubscribe reports whether the principal may subscribe to a destination or pattern.
func (r request) maySubscribe(name string) bool {
	p, err := destination.ParseOwnPattern(name)
	return err == nil && r.principal.Permissions.MaySubscribe(p)
}

// number reads a query parameter from 1 to limit, which is also its default.
func (r request) number(name string, limit int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return limit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, problem.New(http.StatusBadRequest, "the parameter "+name+" has to be 1 to "+strconv.Itoa(limit))
	}
	return n, nil
}

// mayReadHistory reports whether the principal could subscribe to a destination with replay,
// or is an operator who may read it.
func (r request) mayReadHistory(key string) bool {
	if r.principal.Permissions.MaySend(historyPermission + key) {
		return true
	}
	if user, own, ok := destination.SplitUser(key); ok && strings.HasPrefix(key, destination.UserPrefix) {
		return destination.UnescapeSegment(user) == r.principal.Name && r.maySubscribe(own)
	}
	return r.maySubscribe(key)
}

// time reads a parameter that is a time, such as 2026-01-31T12:00:00Z, or a duration before now.
func (r request) time(name string) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if !r.URL.Query().Has(name) {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	return time.Time{}, problem.New(http.StatusBadRequest, "the parameter "+name+" has to be a time such as 2026-01-31T12:00:00Z, or a duration before now such as 90m")
}

// messageFilter says which messages a request is about, or nil for all.
func (r request) messageFilter() (func(*driver.Message) bool, error) {
	query := r.URL.Query()
	var all []func(*driver.Message) bool
	if id := query.Get("id"); id != "" {
		all = append(all, func(m *driver.Message) bool { return m.ID == id })
	}
	if user := query.Get("user"); user != "" {
		all = append(all, func(m *driver.Message) bool { return m.User == user })
	}
	if text := query.Get("older"); text != "" {
		age, err := time.ParseDuration(text)
		if err != nil || age <= 0 {
			return nil, problem.New(http.StatusBadRequest, "the parameter older has to be a duration above zero, such as 90m")
		}
		before := time.Now().Add(-age).UnixMilli()
		all = append(all, func(m *driver.Message) bool { return m.Timestamp < before })
	}
	for _, header := range query["header"] {
		name, value, ok := strings.Cut(header, ":")
		if !ok || name == "" {
			return nil, problem.New(http.StatusBadRequest, "the parameter header has to be name:value")
		}
		all = append(all, func(m *driver.Message) bool {
			has, ok := broker.MessageHeaders(m).Lookup(name)
			return ok && has == value
		})
	}
	if len(all) == 0 {
		return nil, nil
	}
	return func(m *driver.Message) bool {
		for _, match := range all {
			if !match(m) {
				return false
			}
		}
		return true
	}, nil
}

// messageID is the parameter that names a message.
func (r request) messageID() (string, error) {
	id := r.URL.Query().Get("id")
	if id == "" {
		return "", problem.New(http.StatusBadRequest, "the parameter id has to be the message-id of a message, as peek shows it")
	}
	return id, nil
}

// boolean reads a parameter that is true or false, which is the default.
func (r request) boolean(name string) (bool, error) {
	switch r.URL.Query().Get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, problem.New(http.StatusBadRequest, "the parameter "+name+" has to be true or false")
}

// reason reads the parameter reason.
func (r request) reason(otherwise string) (string, error) {
	reason := r.URL.Query().Get("reason")
	if len(reason) > maxReason {
		return "", problem.New(http.StatusBadRequest, "the parameter reason may have "+strconv.Itoa(maxReason)+" bytes")
	}
	if reason == "" {
		return otherwise, nil
	}
	return reason, nil
}

// order reads the parameter order.
func (r request) order() (admin.Order, error) {
	switch order := admin.Order(r.URL.Query().Get("order")); order {
	case "", "name":
		return "", nil
	case admin.BySlowness, admin.ByBytes:
		return order, nil
	}
	return "", problem.New(http.StatusBadRequest, "the parameter order has to be name, slowest or bytes")
}

// sessionQuery reads which sessions a request asks for.
func (r request) sessionQuery() (q admin.SessionQuery, err error) {
	if q.Limit, err = r.number("limit", maxListed); err != nil {
		return q, err
	}
	if q.Order, err = r.order(); err != nil {
		return q, err
	}
	if !r.URL.Query().Has("destination") {
		return q, nil
	}
	q.Destination = r.URL.Query().Get("destination")
	if q.Destination == "" {
		return q, problem.New(http.StatusBadRequest, "the parameter destination is empty; give it a value, or leave it out")
	}
	if err := r.checkLength("destination", q.Destination); err != nil {
		return q, err
	}
	if !r.mayKnow(q.Destination) {
		return q, problem.New(http.StatusForbidden, "no subscribe permission for "+q.Destination)
	}
	return q, nil
}

// may refuses who has no send permission.
func (r request) may(permission string) error {
	if !r.principal.Permissions.MaySend(permission) {
		return problem.New(http.StatusForbidden, "no send permission for "+permission)
	}
	return nil
}

// banTarget returns a ban of the user or token that the request names, and checks the permission.
func (r request) banTarget() (admin.Ban, error) {
	query := r.URL.Query()
	ban := admin.Ban{User: query.Get("user"), Token: query.Get("token"), By: r.principal.Name}
	switch {
	case (ban.User == "") == (ban.Token == ""):
		return ban, problem.New(http.StatusBadRequest, "say who, with one of the parameters user and token, which is the jti claim of a token")
	case len(ban.Token) > maxTokenID || len(ban.User) > maxTokenID*2:
		return ban, problem.New(http.StatusBadRequest, "the name or the id of the token is too long")
	case ban.User != "":
		return ban, r.may(destination.DisconnectPrefix + destination.EscapeSegment(ban.User))
	}
	return ban, r.may(bansPermission)
}

// banEnd reads until when a ban is.
func (r request) banEnd() (time.Time, error) {
	query, now := r.URL.Query(), time.Now()
	var end time.Time
	switch duration, err := time.ParseDuration(query.Get("for")); {
	case query.Has("for") == query.Has("until"):
		return end, problem.New(http.StatusBadRequest, "say how long, with one of the parameters for, such as 24h, and until, such as 2026-01-31T12:00:00Z")
	case query.Has("for") && (err != nil || duration > maxBan):
		return end, problem.New(http.StatusBadRequest, "the parameter for has to be a duration up to ten years, such as 24h")
	case query.Has("for"):
		end = now.Add(duration)
	default:
		if end, err = time.Parse(time.RFC3339, query.Get("until")); err != nil {
			return end, problem.New(http.StatusBadRequest, "the parameter until has to be a time such as 2026-01-31T12:00:00Z")
		}
	}
	if !end.After(now) || end.After(now.Add(maxBan)) {
		return end, problem.New(http.StatusBadRequest, "the end of the ban has to be later than now, and within ten years")
	}
	return end.UTC(), nil
}

// queue returns the queue that a request names, when the principal may consume it.
func (r request) queue() (string, error) {
	name := r.URL.Query().Get("destination")
	if !isQueue(name) {
		return "", problem.New(http.StatusBadRequest, "the parameter destination has to name one queue, such as /queue/orders")
	}
	if err := r.checkLength("destination", name); err != nil {
		return "", err
	}
	if !r.maySubscribe(name) {
		return "", problem.New(http.StatusForbidden, "no subscribe permission for "+name)
	}
	return name, nil
}

// checkLength refuses the name of a queue that is too long for the broker.
func (r request) checkLength(parameter, name string) error {
	if name == "" {
		return nil
	}
	if err := r.broker.CheckDestination(name); err != nil {
		return problem.New(http.StatusBadRequest, "the parameter "+parameter+": "+err.Error())
	}
	return nil
}

// maySee reports whether the principal may know of a user: it may if it can send
// to some destination of theirs, or is that user.
func (r request) maySee(user string) bool {
	if user == r.principal.Name {
		return true
	}
	theirs, err := destination.ParsePattern("/user/" + destination.EscapeSegment(user) + "/>")
	return err == nil && r.principal.Permissions.MaySendSome(theirs)
}

// mayKnow reports whether the principal may know of a destination: those of users,
// which no other user can subscribe to, are known to users that can send to them.
func (r request) mayKnow(destination string) bool {
	if strings.HasPrefix(destination, "/user/") {
		return r.principal.Permissions.MaySend(destination)
	}
	return r.maySubscribe(destination)
}
