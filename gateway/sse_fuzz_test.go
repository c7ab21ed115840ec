package gateway

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzEventsParameters: whatever the parameters of a request for events are, they are
// refused with words, or say what a stream may have.
func FuzzEventsParameters(f *testing.F) {
	for _, query := range []string{
		"", "destination=/topic/a", "destination=/topic/a&destination=/user/queue/b&format=json", "destination=%00&format=text",
		"destination=/topic/a&heartbeat=event", "destination=/topic/a&heartbeat=maybe", "destination=a&last-event-id=x,y", "lastEventId=%0a&destination=a",
		"destination=a;b", "access_token=x&destination=%ff", "other=1", "destination", "format=xml&destination=a",
	} {
		f.Add(query, "1-2,3-4")
	}
	e := &Events{EventsOptions: EventsOptions{}.WithDefaults()}
	f.Fuzz(func(t *testing.T, query, lastEventID string) {
		r := httptest.NewRequest("GET", "/events", nil)
		r.URL = &url.URL{Path: "/events", RawQuery: query}
		r.Header.Set("Last-Event-ID", lastEventID)
		framing, o, err := e.options(r)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotNil(t, framing)
		require.GreaterOrEqual(t, len(o.Destinations), 1)
		require.LessOrEqual(t, len(o.Destinations), maxDestinations)
		require.Equal(t, r.URL.Query()["destination"], o.Destinations)
	})
}
