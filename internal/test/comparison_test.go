package test_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// claims are the rows of docs/comparison.md and of README's table in which stompbox has
// something, with what holds it.
var claims = map[string][]string{
	"STOMP 1.0, 1.1, 1.2":                                {"interop/js/conformance.test.js", "interop/python/test_stomp_py.py"},
	"STOMP over WebSocket":                               {"interop/js/stompjs.test.js"},
	"STOMP over TCP":                                     {"interop/python/test_stomp_py.py"},
	"A hidden tab that misses heart-beats":               {"interop/js/hidden.test.js"},
	"SockJS":                                             {"interop/js/sockjsprotocol.test.js", "interop/js/sockjs.test.js", "TestSockJSRawWebSocket"},
	"Server-sent events":                                 {"interop/js/sse.test.js"},
	"SSE resumes by `Last-Event-ID`":                     {"TestEventsReplayWhatWasMissed"},
	"Sending over HTTP":                                  {"TestABatchLargerThanTheRateIsSent", "TestAnIdempotencyKeySendsOnce"},
	"Broker for Spring's `enableStompBrokerRelay`":       {"RelayTest"},
	"Other protocols on the same messages":               {"TestNativeNATSProgramsAreWelcome", "TestNativeProgramsPublishToHistories"},
	"JWT of the client":                                  {"TestJWKSRotatesAndSurvivesItsServer"},
	"The session ends with its token":                    {"TestTheSessionEndsWhenItsTokenDoes"},
	"A fresh token without a new connection":             {"TestACommitIsOfTheFreshToken", "TestAnAppServerGoesOnWithAFreshToken"},
	"Permissions by destination":                         {"TestPermissions", "TestPatternContains"},
	"Client certificates as logins":                      {"TestCertificatesOfClientsAreLogins"},
	"Topics with wildcards":                              {"TestPatternMatch", "TestRouterFindsWhatPatternsMatch"},
	"Messages to all sessions of a user":                 {"TestUserMessagesReachAllSessionsOfAUser"},
	"Slow readers of topics":                             {"TestSlowConsumerPolicies"},
	"History, and replay of missed messages":             {"TestTenKilledNodesLoseAndRepeatNothing"},
	"Durable topic subscriptions":                        {"TestDurableSubscriptionGetsWhatCameMeanwhile"},
	"Queues: acknowledgements, redelivery, dead letters": {"TestQueueRedeliversAfterSessionDies", "TestQueueMovesToDeadLettersAfterTooManyDeliveries"},
	"Transactions":                                       {"TestTransactions"},
	"Requests and answers":                               {"TestAppServersAnswerRequests", "TestReplyToATempQueue"},
	"Requests to app servers over signed webhooks":       {"TestAWebhookIsTriedAgain"},
	"Presence over all nodes":                            {"TestPresenceTellsJoinsAndLeavesOnAllNodes"},
	"More than one node":                                 {"TestAKilledNodeLosesNothingConfirmed", "TestTwoProcessesShareOneNATS"},
	"Extending it":                                       {"TestGoHandlersAnswerAndPanicsAreContained", "TestAnInterceptorChangesAndRefuses"},
	"Embedded in your program":                           {"TestTheExamplesInGoAnswer"},

	"your STOMP clients stay":           {"interop/js/stompjs.test.js", "interop/python/test_stomp_py.py", "RelayTest"},
	"several nodes":                     {"TestAKilledNodeLosesNothingConfirmed"},
	"missed messages after a reconnect": {"TestTenKilledNodesLoseAndRepeatNothing"},
	"built for browsers: slow readers, hidden tabs, expiring tokens": {"TestSlowConsumerPolicies", "interop/js/hidden.test.js", "TestTheSessionEndsWhenItsTokenDoes"},
}

// TestEachClaimOfAComparisonHasItsTest: what a table says of stompbox is not no, so it is
// held by a test, which is there.
func TestEachClaimOfAComparisonHasItsTest(t *testing.T) {
	t.Parallel()
	tests := testNames(t)
	found := make(map[string]bool)
	for _, file := range []string{"README.md", "docs/comparison.md"} {
		text, err := os.ReadFile(root + "/" + file)
		require.NoError(t, err)
		ours := false // a table whose first column of values is of stompbox
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(strings.TrimSpace(line), " | ")
			switch {
			case !strings.HasPrefix(line, "|"):
				ours = false
			case strings.HasPrefix(line, "| | stompbox |"):
				ours = true
			case !ours || strings.HasPrefix(line, "|--"):
			default:
				row, said := strings.Trim(strings.TrimPrefix(cells[0], "| "), "*"), strings.Trim(cells[1], "*")
				if strings.HasPrefix(said, "no") || row == "Written in" || strings.HasPrefix(cells[1], "**no**") {
					continue
				}
				found[row] = true
				require.NotEmpty(t, claims[row], "%s claims something without a test: %s", file, row)
			}
		}
	}
	for row, names := range claims {
		require.True(t, found[row], "no table has the row %q", row)
		for _, name := range names {
			requireTest(t, tests, name)
		}
	}
}
