package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/printable"
)

// operatorsHelp is what the commands for operators have in common.
const operatorsHelp = "\n\nIt asks a running broker over HTTP: the address of admin.listen with its token, or that of\nhttp.listen with the token or login of a user who has the permission."

// newOperators returns the commands that ask about users, sessions and nodes.
func newOperatorCommands() []*cobra.Command {
	return []*cobra.Command{
		newUsers(), newSessions(), newNodes(), newDisconnect(), newUnsubscribe(), newBan(), newUnban(), newBans(), newHistory(), newTop(),
	}
}

// operatorCommand is a command that asks the HTTP API.
func operatorCommand(use, short, example string, args cobra.PositionalArgs) (*cobra.Command, *clientFlags) {
	cmd := &cobra.Command{Use: use, Short: short, Long: short + "." + operatorsHelp, Example: example, Args: named(args)}
	return cmd, newClientFlags(cmd.Flags())
}

// named refuses empty arguments in addition: a variable of a script that is not set names no user.
func named(args cobra.PositionalArgs) cobra.PositionalArgs {
	return cobra.MatchAll(args, func(cmd *cobra.Command, given []string) error {
		for i, text := range given {
			if strings.TrimSpace(text) == "" {
				return fmt.Errorf("argument %d is empty; %s", i+1, cmd.UseLine())
			}
		}
		return nil
	})
}

// setGiven sets the parameters of the flags that were given, also of empty ones, which the broker
// refuses: without them the request would be about more.
func setGiven(query url.Values, flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		if f := flags.Lookup(name); f.Changed {
			query.Set(name, f.Value.String())
		}
	}
}

// userPath is the path of a user in the API. Dots are encoded, since others on the way may
// take a name of dots for a step in a tree.
func userPath(name string) string {
	return "/api/users/" + strings.ReplaceAll(url.PathEscape(name), ".", "%2E")
}

// warnMissing says which nodes an answer leaves out.
func warnMissing(cmd *cobra.Command, missing []string) {
	if len(missing) > 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "stompbox: no answer from", nodeNames(missing))
	}
}

// warnNotAsked says which nodes were not asked to end sessions. Most of them have ended themselves, so
// that is no failure.
func warnNotAsked(cmd *cobra.Command, lost []admin.LostNode) {
	if len(lost) == 0 {
		return
	}
	names := make([]string, len(lost))
	for i, node := range lost {
		names[i] = node.Name
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "stompbox: not asked, since nothing is heard of them: %s; what is on a node that still runs goes on\n", nodeNames(names))
}

// nodeNames lists nodes for people.
func nodeNames(nodes []string) string {
	names := make([]string, len(nodes))
	for i, name := range nodes {
		names[i] = printable.Field(name)
	}
	return strings.Join(names, ", ")
}

// incomplete is the error of a command that nodes did not carry out since they did not answer.
func incomplete(missing []string, remedy string) error {
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("no answer from %s: %s", nodeNames(missing), remedy)
}

// What to do about nodes that did not answer: they learn of bans, and of nothing else.
const (
	againRemedy = "what is there goes on, so run this again once stompbox nodes lists them as serving, or stop them"
	banRemedy   = "they learn of this when they are back, and do not follow it until then"
)

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%d", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f%c", value, units[unit])
}

// orderFlag adds the flag of commands that list users or sessions.
func orderFlag(cmd *cobra.Command, order *string) {
	cmd.Flags().StringVar(order, "order", "name", "name, slowest or bytes: which ones come first")
	completeFlag(cmd, "order", "name", string(admin.BySlowness), string(admin.ByBytes))
}

func newUsers() *cobra.Command {
	cmd, client := operatorCommand("users", "List who is connected, on all nodes", "  stompbox users --order slowest", cobra.NoArgs)
	var order string
	var limit int
	var asJSON bool
	orderFlag(cmd, &order)
	cmd.Flags().IntVarP(&limit, "count", "n", 100, "print at most this many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var answer struct {
			Users   []admin.UserInfo
			Next    string
			Missing []string
		}
		if err := client.ask(cmd.Context(), http.MethodGet, "/api/users", url.Values{"order": {order}, "limit": {fmt.Sprint(limit)}}, &answer); err != nil {
			return err
		}
		warnMissing(cmd, answer.Missing)
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(answer.Users)
		}
		w := newTable(cmd.OutOrStdout(), "USER", "SESSIONS", "SUBSCRIPTIONS", "IN", "OUT", "WAITING", "ADDRESSES", "NODES")
		for _, u := range answer.Users {
			t := u.Traffic
			if t == nil {
				t = new(admin.Traffic)
			}
			w.row(u.Name, u.Sessions, t.Subscriptions, bytesText(t.ReceivedBytes), bytesText(t.SentBytes), bytesText(t.QueuedBytes), strings.Join(t.Addresses, " "), strings.Join(u.Nodes, " "))
		}
		if answer.Next != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "stompbox: there are more; use a larger --count\n")
		}
		return w.flush()
	}
	return cmd
}

func newSessions() *cobra.Command {
	cmd, client := operatorCommand("sessions [USER]", "List sessions of all nodes, or those of one user", "  stompbox sessions --order slowest\n  stompbox sessions alice\n  stompbox sessions --destination /queue/orders", cobra.MaximumNArgs(1))
	var order, dest string
	var limit int
	var asJSON bool
	orderFlag(cmd, &order)
	cmd.Flags().IntVarP(&limit, "count", "n", 100, "print at most this many")
	cmd.Flags().StringVar(&dest, "destination", "", "only sessions that are subscribed to exactly this destination, such as the consumers of a queue")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, of one user or destination with subscriptions")
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 && cmd.Flags().Changed("destination") {
			return errors.New("say a user or a destination, not both")
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var answer struct {
			Sessions []admin.SessionInfo
			Missing  []string
		}
		path, query := "/api/sessions", url.Values{"order": {order}, "limit": {fmt.Sprint(limit)}}
		if cmd.Flags().Changed("destination") {
			query.Set("destination", dest)
		}
		if len(args) > 0 {
			path, query = userPath(args[0]), nil
		}
		if err := client.ask(cmd.Context(), http.MethodGet, path, query, &answer); err != nil {
			return err
		}
		warnMissing(cmd, answer.Missing)
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(answer.Sessions)
		}
		return printSessions(cmd.OutOrStdout(), answer.Sessions)
	}
	return cmd
}

func printSessions(out io.Writer, sessions []admin.SessionInfo) error {
	w := newTable(out, "SESSION", "USER", "REMOTE", "TRANSPORT", "VERSION", "NODE", "SINCE", "IN", "OUT", "WAITING")
	for _, s := range sessions {
		w.row(s.ID, s.User, s.Remote, s.Transport, s.Version, s.Node,
			time.Since(s.Connected).Round(time.Second), bytesText(s.ReceivedBytes), bytesText(s.SentBytes), waitingText(s))
	}
	return w.flush()
}

// waitingText is what a client has not read, and for how long it takes nothing.
func waitingText(s admin.SessionInfo) string {
	text := bytesText(s.QueuedBytes)
	if s.Writing >= 1 {
		text += fmt.Sprintf(" (%.0fs)", s.Writing)
	}
	return text
}

func newNodes() *cobra.Command {
	cmd, client := operatorCommand("nodes", "List the nodes, and what they do", "  stompbox nodes", cobra.NoArgs)
	var asJSON bool
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := client.nodes(cmd)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(answer.Nodes)
		}
		w := newTable(cmd.OutOrStdout(), "NODE", "SERVER", "UP", "STATE", "SESSIONS", "SUBSCRIPTIONS", "RECEIVED", "DELIVERED", "DROPPED", "IN", "OUT")
		for _, n := range answer.Nodes {
			w.row(n.Name, n.Server, time.Since(n.Started).Round(time.Second), n.State(),
				n.Sessions, n.Subscriptions, n.Received, n.Delivered, n.Dropped, bytesText(n.ReceivedBytes), bytesText(n.SentBytes))
		}
		for _, name := range answer.Missing {
			w.row(name, "-", "-", "no answer", "-", "-", "-", "-", "-", "-", "-")
		}
		for _, lost := range answer.Lost {
			w.row(lost.Name, "-", "-", "lost since "+lost.Since.Local().Format(time.DateTime), "-", "-", "-", "-", "-", "-", "-")
		}
		if err := w.flush(); err != nil {
			return err
		}
		for _, n := range answer.Nodes {
			if n.NotReady != "" && !n.Draining {
				fmt.Fprintf(cmd.ErrOrStderr(), "stompbox: %s is not ready: %s\n", printable.Field(n.Name), printable.Line(n.NotReady))
			}
		}
		return nil
	}
	return cmd
}

// nodes asks for all nodes.
func (c *clientFlags) nodes(cmd *cobra.Command) (answer nodesAnswer, err error) {
	err = c.ask(cmd.Context(), http.MethodGet, "/api/nodes", nil, &answer)
	warnMissing(cmd, answer.Missing)
	for _, lost := range answer.Lost {
		fmt.Fprintf(cmd.ErrOrStderr(), "stompbox: %s is lost: nothing was heard of it since %s\n", printable.Field(lost.Name), lost.Since.Local().Format(time.DateTime))
	}
	return answer, err
}

// nodesAnswer is what the API says about nodes.
type nodesAnswer struct {
	Nodes   []admin.NodeInfo
	Missing []string
	Lost    []admin.LostNode
}

// printEnded says how many sessions were ended, and whether a ban is kept.
func printEnded(cmd *cobra.Command, what string, e httpapi.Ended) {
	if e.Kept != nil && !*e.Kept {
		fmt.Fprintln(cmd.ErrOrStderr(), "stompbox: the store does not keep that, so it ends with the last node that runs:", printable.Line(e.KeepError))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s; %d sessions were ended\n", printable.Line(what), e.Disconnected)
}

// printBanned is printEnded of a ban, and says so where an earlier one stays.
func printBanned(cmd *cobra.Command, what string, e httpapi.Ended) {
	if e.Longer && e.Until != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "stompbox: an earlier ban stays, until %s, since it ends later; --replace shortens it\n", e.Until.Format(time.RFC3339))
	}
	printEnded(cmd, what, e)
}

func newDisconnect() *cobra.Command {
	cmd, client := operatorCommand("disconnect USER", "End the sessions of a user, on all nodes", "  stompbox disconnect alice --reason 'sign in again'\n  stompbox disconnect alice --for 10m", cobra.ExactArgs(1))
	cmd.Long = "End the sessions of a user, on all nodes. Without --for and --until the user can connect again at\nonce; with one of them it is banned as well, and stompbox unban lifts that. The exit code is 1\nif there is no such session, or if a node does not answer." + operatorsHelp
	cmd.Flags().String("session", "", "only this session")
	cmd.Flags().Duration("for", 0, "ban the user too, for so long, such as 10m")
	cmd.Flags().String("until", "", "ban the user too, until then, such as 2030-01-31T12:00:00Z")
	cmd.Flags().Bool("replace", false, "with --for or --until: in place of a ban that ends later, which stays otherwise")
	cmd.Flags().String("reason", "", "the reason that the client gets")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{}
		setGiven(query, cmd.Flags(), "session", "for", "until", "replace", "reason")
		var answer httpapi.Ended
		if err := client.ask(cmd.Context(), http.MethodPost, userPath(args[0])+"/disconnect", query, &answer); err != nil {
			return err
		}
		warnNotAsked(cmd, answer.Lost)
		switch {
		case query.Has("for") || query.Has("until"):
			printBanned(cmd, "disconnected and banned "+args[0], answer)
			return incomplete(answer.Missing, banRemedy)
		case answer.Disconnected > 0:
			printEnded(cmd, "disconnected "+args[0], answer)
		case len(answer.Missing) == 0 && query.Has("session"):
			return fmt.Errorf("user %s has no session %s on any node; stompbox sessions lists those that there are", args[0], query.Get("session"))
		case len(answer.Missing) == 0:
			return fmt.Errorf("user %s is not connected to any node", args[0])
		default:
			fmt.Fprintf(cmd.OutOrStdout(), "no session of %s was found\n", printable.Field(args[0]))
		}
		return incomplete(answer.Missing, againRemedy)
	}
	return cmd
}

func newUnsubscribe() *cobra.Command {
	cmd, client := operatorCommand("unsubscribe USER", "End subscriptions of a user, on all nodes, and leave the sessions open", "  stompbox unsubscribe alice --destination /topic/prices", cobra.ExactArgs(1))
	cmd.Long = cmd.Short + ". The exit code is 1\nif there is no such subscription, or if a node does not answer." + operatorsHelp
	for name, help := range map[string]string{"destination": "subscriptions to it", "subscription": "subscriptions with this id", "session": "only those of this session", "reason": "the reason that the client gets on /user/queue/errors"} {
		cmd.Flags().String(name, "", help)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{}
		setGiven(query, cmd.Flags(), "destination", "subscription", "session", "reason")
		var answer httpapi.Unsubscribed
		if err := client.ask(cmd.Context(), http.MethodPost, userPath(args[0])+"/unsubscribe", query, &answer); err != nil {
			return err
		}
		warnNotAsked(cmd, answer.Lost)
		if answer.Unsubscribed == 0 && len(answer.Missing) == 0 {
			return fmt.Errorf("user %s has no such subscription on any node; stompbox sessions %[1]s --json lists those that there are", args[0])
		}
		fmt.Fprintf(cmd.OutOrStdout(), "ended %d subscriptions of %s\n", answer.Unsubscribed, printable.Field(args[0]))
		return incomplete(answer.Missing, againRemedy)
	}
	return cmd
}

// banFlags say who is banned.
type banFlags struct{ token string }

func (b *banFlags) query(args []string) (query url.Values, who string, err error) {
	if (len(args) == 0) == (b.token == "") {
		return nil, "", errors.New("say who: a USER, or a token with --token-id")
	}
	if b.token != "" {
		return url.Values{"token": {b.token}}, "the token " + b.token, nil
	}
	return url.Values{"user": args}, args[0], nil
}

func newBan() *cobra.Command {
	cmd, client := operatorCommand("ban [USER]", "Refuse a user or a token until a time, on all nodes", "  stompbox ban alice --for 24h --reason spam\n  stompbox ban --token-id 7d1f... --for 1h", cobra.MaximumNArgs(1))
	var who banFlags
	cmd.Flags().StringVar(&who.token, "token-id", "", "the jti claim of a token, in place of a user; stompbox sessions --json shows it")
	cmd.Flags().Duration("for", 0, "how long, such as 24h")
	cmd.Flags().String("until", "", "until when, such as 2030-01-31T12:00:00Z, in place of --for")
	cmd.Flags().Bool("replace", false, "in place of a ban that ends later, which stays otherwise")
	cmd.Flags().String("reason", "", "the reason that the client gets")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query, name, err := who.query(args)
		if err != nil {
			return err
		}
		setGiven(query, cmd.Flags(), "for", "until", "replace", "reason")
		var answer httpapi.Ended
		if err := client.ask(cmd.Context(), http.MethodPost, "/api/bans", query, &answer); err != nil {
			return err
		}
		printBanned(cmd, "banned "+name, answer)
		return incomplete(answer.Missing, banRemedy)
	}
	return cmd
}

func newUnban() *cobra.Command {
	cmd, client := operatorCommand("unban [USER]", "Let a user or a token in again", "  stompbox unban alice", cobra.MaximumNArgs(1))
	var who banFlags
	cmd.Flags().StringVar(&who.token, "token-id", "", "the jti claim of a token, in place of a user")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query, name, err := who.query(args)
		if err != nil {
			return err
		}
		var answer httpapi.Ended
		if err := client.ask(cmd.Context(), http.MethodDelete, "/api/bans", query, &answer); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s may connect again\n", printable.Line(name))
		return incomplete(answer.Missing, banRemedy)
	}
	return cmd
}

func newBans() *cobra.Command {
	cmd, client := operatorCommand("bans", "List who is banned", "  stompbox bans", cobra.NoArgs)
	var asJSON bool
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var answer struct{ Bans []admin.Ban }
		if err := client.ask(cmd.Context(), http.MethodGet, "/api/bans", nil, &answer); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(answer.Bans)
		}
		w := newTable(cmd.OutOrStdout(), "USER", "TOKEN", "UNTIL", "BY", "REASON")
		for _, b := range answer.Bans {
			w.row(b.User, b.Token, b.Until.Format(time.RFC3339), b.By, b.Reason)
		}
		return w.flush()
	}
	return cmd
}

func newHistory() *cobra.Command {
	cmd := &cobra.Command{Use: "history", Short: "Read what histories keep, or clear it", Long: "Read what histories keep, or clear it." + operatorsHelp}
	client := newClientFlags(cmd.PersistentFlags())
	cmd.AddCommand(newHistoryList(client), newHistoryRead(client), newHistoryClear(client))
	return cmd
}

func newHistoryList(client *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the histories, how much they keep, and their limits", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []httpapi.HistoryPolicy
			if err := client.ask(cmd.Context(), http.MethodGet, "/api/histories", nil, &all); err != nil {
				return err
			}
			w := newTable(cmd.OutOrStdout(), "HISTORY", "MATCH", "DESTINATIONS", "MESSAGES", "BYTES", "OLDEST", "LIMITS")
			for _, p := range all {
				w.row(append(append([]any{p.Name, p.Match}, keptOf(p.Kept)...), limitsOf(p))...)
			}
			return w.flush()
		},
	}
}

// keptOf are the columns of what a history keeps, if that may be seen.
func keptOf(u *httpapi.HistoryUsage) []any {
	if u == nil {
		return []any{"-", "-", "-", "-"}
	}
	return []any{u.Destinations, u.Messages, u.Bytes, cmp.Or(u.Oldest, "-")}
}

// limitsOf are the limits of a history, as the configuration has them.
func limitsOf(p httpapi.HistoryPolicy) string {
	var limits []string
	if p.MaxMessages > 0 {
		limits = append(limits, fmt.Sprintf("max_messages %d each", p.MaxMessages))
	}
	if p.MaxAge != "" {
		limits = append(limits, "max_age "+p.MaxAge)
	}
	if p.MaxBytes > 0 {
		limits = append(limits, fmt.Sprintf("max_bytes %d", p.MaxBytes))
	}
	return cmp.Or(strings.Join(limits, ", "), "-")
}

func newHistoryRead(client *clientFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "read DESTINATION", Short: "Print what is kept of a destination, oldest first", Args: named(cobra.ExactArgs(1)),
		Long:    "Print what is kept of a destination, oldest first." + lineHelp + operatorsHelp,
		Example: "  stompbox history read /topic/chat.lobby --since 1h\n  stompbox history read /user/alice/queue/notes -n 10 --json",
	}
	var count int
	var asJSON bool
	cmd.Flags().String("since", "", "a time such as 2030-01-31T12:00:00Z, or a duration before now such as 90m")
	cmd.Flags().String("until", "", "the same: only messages before it")
	cmd.Flags().String("after", "", "go on after this message-id")
	cmd.Flags().IntVarP(&count, "count", "n", 0, "print at most this many; 0: all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object with all headers per message")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if count < 0 {
			return notACount(count)
		}
		query := url.Values{"destination": args}
		setGiven(query, cmd.Flags(), "since", "until", "after")
		for left := count; ; {
			limit := httpapi.MaxPeeked
			if count > 0 {
				limit = min(limit, left)
			}
			query.Set("limit", fmt.Sprint(limit))
			var page httpapi.Peeked
			if err := client.ask(cmd.Context(), http.MethodGet, "/api/history", query, &page); err != nil {
				return err
			}
			for _, m := range page.Messages {
				if err := printPeeked(cmd.OutOrStdout(), m, asJSON); err != nil {
					return err
				}
			}
			if left -= len(page.Messages); page.Next == "" || count > 0 && left <= 0 {
				return nil
			}
			query.Set("after", page.Next)
		}
	}
	return cmd
}

func newHistoryClear(client *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "clear DESTINATION", Short: "Remove what is kept of a destination for good", Args: named(cobra.ExactArgs(1)), Example: "  stompbox history clear --yes /topic/chat.lobby"}
	var yes bool
	cmd.Flags().BoolVar(&yes, "yes", false, "really do it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			return errors.New("this deletes all that is kept of the destination for good; add --yes to confirm")
		}
		var answer struct{ Cleared uint64 }
		if err := client.ask(cmd.Context(), http.MethodPost, "/api/history/clear", url.Values{"destination": args}, &answer); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "cleared %d messages of %s\n", answer.Cleared, printable.Field(args[0]))
		return nil
	}
	return cmd
}

// search asks for one message of a queue, until it is found or all messages were looked at.
func (c *clientFlags) search(ctx context.Context, method, path string, query url.Values, answer any) error {
	for {
		err := c.ask(ctx, method, path, query, answer)
		var refused *answerError
		if !errors.As(err, &refused) || refused.next == "" {
			return err
		}
		query.Set("after", refused.next)
	}
}

func newQueueGet(client *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "get QUEUE MESSAGE-ID", Short: "Print one message, and leave it in the queue", Args: named(cobra.ExactArgs(2)), Example: "  stompbox queue get /queue/DLQ.orders 5QKQJZZ2NU-7"}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var m httpapi.PeekedMessage
		if err := client.search(cmd.Context(), http.MethodGet, "/api/queues/message", url.Values{"destination": args[:1], "id": args[1:]}, &m); err != nil {
			return err
		}
		return printPeeked(cmd.OutOrStdout(), m, true)
	}
	return cmd
}

func newQueueRequeue(client *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "requeue QUEUE MESSAGE-ID", Short: "Move one message back to where it came from, or --to another queue", Args: named(cobra.ExactArgs(2)), Example: "  stompbox queue requeue /queue/DLQ.orders 5QKQJZZ2NU-7"}
	cmd.Flags().String("to", "", "queue to move to; without it, where a dead letter came from")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{"destination": args[:1], "id": args[1:]}
		setGiven(query, cmd.Flags(), "to")
		var answer struct{ Moved, To string }
		if err := client.search(cmd.Context(), http.MethodPost, "/api/queues/requeue", query, &answer); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "moved %s to %s\n", printable.Field(answer.Moved), printable.Field(answer.To))
		return nil
	}
	return cmd
}

// purgeFilter are the flags by which only some messages are removed.
type purgeFilter struct {
	id, user string
	older    time.Duration
	headers  []string
}

// query has each flag that was given, also an empty or negative one: the broker refuses that, and
// without it all messages would be removed.
func (p *purgeFilter) query(queue string, given *pflag.FlagSet) url.Values {
	query := url.Values{"destination": {queue}}
	for name, value := range map[string]string{"id": p.id, "user": p.user, "older": p.older.String()} {
		if given.Changed(name) {
			query.Set(name, value)
		}
	}
	if len(p.headers) > 0 {
		query["header"] = p.headers
	}
	return query
}
