package httpapi

import (
	"context"
	"net/http"

	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/internal/problem"
)

// reload has the broker read its configuration again.
func (a *api) reload(reload func(context.Context) (any, error)) apiHandler {
	return func(ctx context.Context, r request) (any, error) {
		if !r.principal.Permissions.MaySend(destination.ReloadPermission) {
			return nil, problem.New(http.StatusForbidden, "no send permission for "+destination.ReloadPermission)
		}
		if reload == nil {
			return nil, problem.New(http.StatusNotFound, "this program cannot read its configuration again")
		}
		a.log.Info("a reload was asked for", "by", r.principal.Name, "remote", r.RemoteAddr)
		return reload(ctx)
	}
}
