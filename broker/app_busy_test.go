package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestAppServersWithoutRoomAreBusyOnEveryNode: there are some, so no sender learns that there are
// none, whichever node it is connected to.
func TestAppServersWithoutRoomAreBusyOnEveryNode(t *testing.T) {
	t.Parallel()
	quotas := broker.Quotas{Waiting: broker.ByteLimits{User: 256 << 10}}
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{Quotas: quotas}) {
		t.Run(name, func(t *testing.T) {
			server := test.Dial(t, nodes[0]).Connect()
			server.Subscribe("app", "/app/work", "ack", "client-individual", "prefetch-count", "1")
			caller := test.Caller(t, nodes[1], "ann")
			caller.Subscribe("e", "/user/queue/errors")
			for range 4 {
				caller.Send(frames.SEND, "destination", "/app/work", strings.Repeat("x", 100<<10))
			}
			f := caller.Expect(frames.MESSAGE)
			require.Equal(t, "app-busy", f.Get("code"), "%s", f.Body)
			require.Equal(t, "/app/work", f.Get("failed-destination"))
		})
	}
}

// TestHandlersWithoutRoomAreBusyForSendersWithoutSession: who sends over HTTP has no session on
// which the failure could come.
func TestHandlersWithoutRoomAreBusyForSendersWithoutSession(t *testing.T) {
	t.Parallel()
	for name, nodes := range test.OneAndTwoNodes(t, broker.Options{}) {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			require.NoError(t, nodes[0].Broker.Handle("/app/slow", func(context.Context, broker.Request) (*broker.Reply, error) {
				<-release
				return nil, nil
			}))
			permissions, err := auth.NewPermissions(auth.AllGrants(), "ann")
			require.NoError(t, err)
			all := make([]broker.Publication, 600) // about half of 1024 are one user's
			for i := range all {
				all[i] = broker.Publication{Destination: "/app/slow"}
			}
			var failed []error
			require.Eventually(t, func() bool { // once the other node knows that there is one
				failed, err = nodes[1].Broker.Send(t.Context(), &auth.Principal{Name: "ann", Permissions: permissions}, all...)
				require.NoError(t, err)
				return failed == nil || failed[0] == nil
			}, test.Patience, test.Patience/100)
			require.NotNil(t, failed)
			busy := 0
			for _, err := range failed {
				if err == nil {
					continue
				}
				var e *broker.Error
				require.True(t, errors.As(err, &e))
				require.Equal(t, broker.CodeAppBusy, e.Code, e.Message)
				busy++
			}
			require.Positive(t, busy)
			require.Less(t, busy, 100)
		})
	}
}
