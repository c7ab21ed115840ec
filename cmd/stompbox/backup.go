package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	manifestFile = "manifest.json"
	// manifestFormat is that of the backups that this version writes, and the newest that
	// it reads.
	manifestFormat = 1
	// progressEvery is how often a command says how far it is.
	progressEvery = 2 * time.Second
)

// manifest says what a backup has. It is written last: a folder without it is no backup.
type manifest struct {
	Format  int             `json:"format"`
	Version string          `json:"version"` // of the program that wrote it
	Made    time.Time       `json:"made"`
	From    string          `json:"from"`
	Streams []manifestEntry `json:"streams"`
}

type manifestEntry struct {
	driver.ArchiveEntry
	File   string `json:"file"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func newBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Write the data of a running broker to a folder", Args: cobra.ExactArgs(1),
		Long: "Write queues, histories, durable subscriptions, dedup ids, records of Idempotency-Keys\n" +
			"and bans to DIR. DIR must not exist, or be empty. The broker keeps working. The token or\n" +
			"login needs subscribe permission for /**. Only the owner can read the files.",
		Example: "  stompbox backup backup-1 --url http://127.0.0.1:8080 --token-file token",
	}
	client := newClientFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return backUp(cmd.Context(), client, args[0], cmd.OutOrStdout())
	}
	return cmd
}

func backUp(ctx context.Context, client *clientFlags, dir string, out io.Writer) error {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return fmt.Errorf("%s is not empty; nothing was written", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	m := manifest{Format: manifestFormat, Version: version(), Made: time.Now().UTC(), From: client.url}
	if err := client.ask(ctx, http.MethodGet, "/api/backup", nil, &m); err != nil {
		return err
	}
	for i := range m.Streams {
		if err := m.Streams[i].write(ctx, client, dir, out); err != nil {
			return fmt.Errorf("%s: %w", m.Streams[i].Name, err)
		}
	}
	text, err := json.MarshalIndent(&m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, manifestFile), append(text, '\n'), 0o600); err != nil {
		return err
	}
	messages, durables := m.count()
	_, err = fmt.Fprintf(out, "%d messages and %d durable subscriptions are in %s\n", messages, durables, dir)
	return err
}

func (m *manifest) count() (messages uint64, durables int) {
	for _, e := range m.Streams {
		if e.Kind == "queues" || e.Kind == "history" {
			messages += e.Messages
		}
		durables += len(e.Durables)
	}
	return messages, durables
}

// write gets the snapshot of a stream.
func (e *manifestEntry) write(ctx context.Context, client *clientFlags, dir string, out io.Writer) error {
	answer, err := client.exchange(ctx, http.MethodGet, "/api/backup/stream", url.Values{"stream": {e.Name}}, nil, client.alive(ctx))
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	e.File = e.Name + ".snapshot"
	file, err := os.OpenFile(filepath.Join(dir, e.File), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	hash := sha256.New()
	progress := &progress{out: out, what: e.Name, of: int64(e.Bytes), next: time.Now().Add(progressEvery)}
	e.Size, err = io.Copy(io.MultiWriter(file, hash, progress), answer.Body)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	e.SHA256 = hex.EncodeToString(hash.Sum(nil))
	_, err = fmt.Fprintf(out, "%s: %d messages, %d durable subscriptions, %d bytes\n", e.Name, e.Messages, len(e.Durables), e.Size)
	return err
}

// progress says now and then how many bytes passed.
type progress struct {
	out      io.Writer
	what     string
	done, of int64
	next     time.Time
}

func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(progressEvery)
		_, _ = fmt.Fprintf(p.out, "%s: %d MB of at most about %d MB\n", p.what, p.done>>20, max(p.of, p.done)>>20)
	}
	return len(b), nil
}

// sent ends a body. It says so where the answer does not come soon after.
type sent struct {
	say func()

	mu    sync.Mutex // guards the following
	timer *time.Timer
	over  bool
}

func (s *sent) Read([]byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil && !s.over {
		s.timer = time.AfterFunc(progressEvery, s.late)
	}
	return 0, io.EOF
}

func (s *sent) late() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.say()
	}
}

// answered ends the wait. Nothing is said after it.
func (s *sent) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

func newRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore DIR", Short: "Put a backup into an empty broker or cluster that runs", Args: cobra.ExactArgs(1),
		Long: "Check what `stompbox backup` wrote to DIR, and then restore it. It never replaces a queue\n" +
			"or history that has messages, and ends when a majority of the nodes has all of it: it exits with 1\n" +
			"where that cannot be had. The token or login needs send and subscribe permission for /**.",
		Example: "  stompbox restore backup-1 --url http://127.0.0.1:8080 --token-file token",
	}
	client := newClientFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return restore(cmd.Context(), client, args[0], cmd.OutOrStdout())
	}
	return cmd
}

func restore(ctx context.Context, client *clientFlags, dir string, out io.Writer) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"streams": m.entries()})
	if err != nil {
		return err
	}
	answer, err := client.exchange(ctx, http.MethodPost, "/api/restore/check", nil, bytes.NewReader(body), nil)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	var notSafe []string
	for i := range m.Streams {
		warning, err := m.Streams[i].read(ctx, client, dir, out)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Streams[i].Name, err)
		}
		if warning != "" {
			notSafe = append(notSafe, m.Streams[i].Name+": "+warning)
		}
	}
	messages, durables := m.count()
	if _, err = fmt.Fprintf(out, "%d messages and %d durable subscriptions of %s are restored\n", messages, durables, m.Made.Format(time.RFC3339)); err != nil {
		return err
	}
	if len(notSafe) > 0 {
		return errors.New(strings.Join(notSafe, "\n") + "\n" + notSafeRemedy)
	}
	return nil
}

// notSafeRemedy says what to do about what is on too few nodes.
const notSafeRemedy = "All is restored, but not on a majority of the nodes. Start the nodes that are away, and stop none of those\n" +
	"that have it: the others fetch it by themselves. The log of the node that was asked then says that a majority\n" +
	"of the servers has all of a stream. If a node that has it is lost before, move the data of all nodes away, start\n" +
	"them, and restore again"

func (m *manifest) entries() []driver.ArchiveEntry {
	all := make([]driver.ArchiveEntry, len(m.Streams))
	for i, e := range m.Streams {
		all[i] = e.ArchiveEntry
	}
	return all
}

// readManifest reads what a backup has, and checks that all of it is there.
func readManifest(dir string) (*manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has no %s: it is no backup, or one that was not finished", dir, manifestFile)
	}
	if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestFile, err)
	}
	if m.Format < 1 || m.Format > manifestFormat {
		return nil, fmt.Errorf("%s is of format %d, and this version reads up to %d; it was written by version %s", manifestFile, m.Format, manifestFormat, m.Version)
	}
	for _, e := range m.Streams {
		if err := e.verify(dir); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// verify checks that a file is as it was written.
func (e *manifestEntry) verify(dir string) error {
	if e.File != filepath.Base(e.File) {
		return fmt.Errorf("%s names a file elsewhere: %q", manifestFile, e.File)
	}
	file, err := os.Open(filepath.Join(dir, e.File))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return err
	}
	if size != e.Size || hex.EncodeToString(hash.Sum(nil)) != e.SHA256 {
		return fmt.Errorf("%s has another checksum than when it was written; nothing was restored", e.File)
	}
	return nil
}

// read puts the snapshot of a stream in. The warning says where it is on too few nodes.
func (e *manifestEntry) read(ctx context.Context, client *clientFlags, dir string, out io.Writer) (warning string, err error) {
	line, err := json.Marshal(e.ArchiveEntry)
	if err != nil {
		return "", err
	}
	file, err := os.Open(filepath.Join(dir, e.File))
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	progress := &progress{out: out, what: e.Name, of: e.Size, next: time.Now().Add(progressEvery)}
	sent := &sent{say: func() {
		_, _ = fmt.Fprintf(out, "%s: all is sent; the broker stores it, and copies it to other nodes\n", e.Name)
	}}
	answer, err := client.exchange(ctx, http.MethodPost, "/api/restore/stream", nil, io.MultiReader(bytes.NewReader(append(line, '\n')), io.TeeReader(file, progress), sent), client.alive(ctx))
	sent.answered()
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxProblem))
	if err != nil {
		return "", err
	}
	if answer.StatusCode == http.StatusAccepted {
		var said struct{ Warning string }
		if err := json.Unmarshal(text, &said); err != nil {
			return "", fmt.Errorf("the answer cannot be read: %w", err)
		}
		warning = said.Warning
	}
	_, err = fmt.Fprintf(out, "%s: %d messages, %d durable subscriptions\n", e.Name, e.Messages, len(e.Durables))
	return warning, err
}
