package httpapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/problem"
)

// Names of permissions of operators, which send permission gives.
const (
	nodesPermission = "/session/nodes"
	bansPermission  = "/session/bans"
)

const (
	// maxReason is the longest reason in bytes.
	maxReason = 200
	// maxBan is the longest ban.
	maxBan = 10 * 365 * 24 * time.Hour
	// maxTokenID is the longest jti claim that can be banned, in bytes.
	maxTokenID = 512
)

// Ended is the answer to a request that ends sessions or subscriptions.
type Ended struct {
	Disconnected int      `json:"disconnected"`
	Missing      []string `json:"missing,omitempty"` // nodes that did not answer
	// Lost are nodes that were not asked to end sessions. Those that are only cut off may have some.
	// It is empty for a ban, of which they learn when they are back.
	Lost []admin.LostNode `json:"lost,omitempty"`
	// Until is the end of the ban that is in force. Longer means that it is an earlier ban, which
	// stays since it ends later than the new one.
	Until  *time.Time `json:"until,omitempty"`
	Longer bool       `json:"longer,omitempty"`
	// Kept means that a ban survives a restart of all nodes. KeepError says why not.
	Kept      *bool  `json:"kept,omitempty"`
	KeepError string `json:"keep_error,omitempty"`
}

// Unsubscribed says how many subscriptions were ended, and which nodes did not take part.
type Unsubscribed struct {
	Unsubscribed int              `json:"unsubscribed"`
	Missing      []string         `json:"missing,omitempty"`
	Lost         []admin.LostNode `json:"lost,omitempty"`
}

// operatorAPI is for who runs the broker: sessions, nodes and bans.
type operatorAPI struct{ *api }

// sessions lists sessions of all users that the caller may see.
func (a operatorAPI) sessions(ctx context.Context, r request) (any, error) {
	query, err := r.sessionQuery()
	if err != nil {
		return nil, err
	}
	sessions, missing := a.broker.Sessions(ctx, query, r.maySee)
	if sessions == nil {
		sessions = []admin.SessionInfo{}
	}
	return struct {
		Sessions []admin.SessionInfo `json:"sessions"`
		Missing  []string            `json:"missing,omitempty"`
	}{sessions, missing}, nil
}

// nodes lists the nodes and what they do.
func (a operatorAPI) nodes(ctx context.Context, r request) (any, error) {
	if err := r.may(nodesPermission); err != nil {
		return nil, err
	}
	nodes, missing := a.broker.Nodes(ctx)
	return struct {
		Nodes   []admin.NodeInfo `json:"nodes"`
		Missing []string         `json:"missing,omitempty"`
		Lost    []admin.LostNode `json:"lost,omitempty"`
	}{nodes, missing, a.lost(missing)}, nil
}

// lost returns the nodes that went silent and are not back. A node that was found to be lost while its
// answer was waited for is among those that are missing.
func (a operatorAPI) lost(missing []string) (all []admin.LostNode) {
	cluster, ok := a.broker.Driver().Cluster.(driver.LostNodes)
	if !ok {
		return nil
	}
	for _, node := range cluster.Lost() {
		if !slices.Contains(missing, node.Name) {
			all = append(all, admin.LostNode{Name: node.Name, Since: node.Heard})
		}
	}
	return all
}

// unsubscribe ends subscriptions of a user.
func (a operatorAPI) unsubscribe(ctx context.Context, r request) (any, error) {
	name, query := r.userName(), r.URL.Query()
	if err := r.may(destination.DisconnectPrefix + destination.EscapeSegment(name)); err != nil {
		return nil, err
	}
	reason, err := r.reason("the subscription was ended by the application")
	if err != nil {
		return nil, err
	}
	u := admin.Unsubscription{User: name, Session: query.Get("session"), Subscription: query.Get("subscription"), Destination: query.Get("destination"), Reason: reason}
	if u.Subscription == "" && u.Destination == "" {
		return nil, problem.New(http.StatusBadRequest, "say which subscriptions: with the parameter destination or subscription")
	}
	n, missing := a.broker.Unsubscribe(ctx, u)
	return Unsubscribed{n, missing, a.lost(missing)}, nil
}

// addBan keeps a user or a token out.
func (a operatorAPI) addBan(ctx context.Context, r request) (any, error) {
	ban, err := r.banTarget()
	if err != nil {
		return nil, err
	}
	return a.ban(ctx, r, ban)
}

func (a operatorAPI) ban(ctx context.Context, r request, ban admin.Ban) (any, error) {
	var err error
	if ban.Until, err = r.banEnd(); err != nil {
		return nil, err
	}
	if ban.Reason, err = r.reason(""); err != nil {
		return nil, err
	}
	if ban.Replaces, err = r.boolean("replace"); err != nil {
		return nil, err
	}
	ban.By = r.principal.Name
	result, err := a.broker.Ban(ctx, ban)
	if err != nil {
		return nil, err
	}
	answer := ended(result)
	answer.Until, answer.Longer = &result.InForce.Until, result.InForce.Until.After(ban.Until)
	return answer, nil
}

func ended(r admin.BanResult) Ended {
	answer := Ended{Disconnected: r.Disconnected, Missing: r.Missing, Kept: &r.Kept}
	if r.KeepErr != nil {
		answer.KeepError = r.KeepErr.Error()
	}
	return answer
}

// liftBan lets a user or a token in again.
func (a operatorAPI) liftBan(ctx context.Context, r request) (any, error) {
	ban, err := r.banTarget()
	if err != nil {
		return nil, err
	}
	found, result := a.broker.Unban(ctx, ban)
	if !found {
		return nil, problem.New(http.StatusNotFound, "there is no such ban")
	}
	return ended(result), nil
}

// listBans lists the bans that the caller may make.
func (a operatorAPI) listBans(_ context.Context, r request) (any, error) {
	seen := []admin.Ban{}
	tokens := r.may(bansPermission) == nil
	for _, ban := range a.broker.Bans() {
		if ban.User == "" && tokens || ban.User != "" && r.may(destination.DisconnectPrefix+destination.EscapeSegment(ban.User)) == nil {
			seen = append(seen, ban)
		}
	}
	return struct {
		Bans []admin.Ban `json:"bans"`
	}{seen}, nil
}
