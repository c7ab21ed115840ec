package relay

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
)

// formatVersion is of all that this build writes for other nodes, and for itself: messages
// between nodes, what JetStream keeps, and the data directory. It goes up where a build
// that knows the version before would misread what is written. What such a build may
// ignore, such as a new header, needs no other version.
//
// A build whose version goes up goes on reading the one before, and writes it until all
// nodes that it knows of read the new one.
const formatVersion = 1

const (
	// headerVersion says which version a message is of. Those without are of the first one.
	headerVersion = "stompbox-version"
	// metadataFormat says of what version a stream's messages are at most.
	metadataFormat = "stompbox-format"
	// formatFile says of what version a data directory is.
	formatFile = "format"
)

// versionWritten is shared by the headers of all messages, and does not change.
var versionWritten = []string{strconv.Itoa(formatVersion)}

// errNewer says that a newer build wrote what this one cannot read.
var errNewer = errors.New("it was written by a newer version of stompbox; upgrade this node")

// parseVersion reads a version. One that is not a number is none that this build knows.
func parseVersion(text string) int {
	if text == "" {
		return 1
	}
	version, err := strconv.Atoi(text)
	if err != nil || version < 1 {
		return formatVersion + 1
	}
	return version
}

// isNewer reports whether this build cannot read a message, since a newer one wrote it.
func isNewer(h nats.Header) bool {
	values := h[headerVersion]
	return len(values) > 0 && values[0] != versionWritten[0] && parseVersion(values[0]) > formatVersion
}

// versioned makes a message that carries the version.
func versioned(subject string, body []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{headerVersion: versionWritten}, Data: body}
}

// tooNew is isNewer, and counts and logs what this node cannot read.
func (l *link) tooNew(h nats.Header, subject string) bool {
	if !isNewer(h) {
		return false
	}
	if l.newer.Add(1) == 1 {
		l.log.Error("a message cannot be read: "+errNewer.Error()+"; stompbox_relay_newer_total counts the next ones", "subject", subject, "version", h[headerVersion][0], "known", formatVersion)
	}
	return true
}

// withFormat adds the version to the metadata of a stream.
func withFormat(metadata map[string]string) map[string]string {
	all := map[string]string{metadataFormat: versionWritten[0]}
	maps.Copy(all, metadata)
	return all
}

// checkFormat returns an error where a stream has messages that this build cannot read.
func checkFormat(stream string, metadata map[string]string) error {
	if version := metadata[metadataFormat]; parseVersion(version) > formatVersion {
		return fmt.Errorf("%w: the stream %s is of version %s, and this node reads up to %d: %w", driver.ErrUnavailable, stream, version, formatVersion, errNewer)
	}
	return nil
}

// checkFormat returns an error where a newer build wrote a data directory, and notes the
// version of this one else.
func (d *dataDir) checkFormat() error {
	text, err := os.ReadFile(d.file(formatFile))
	version := strings.TrimSpace(string(text))
	switch {
	case err != nil && !os.IsNotExist(err):
		return err
	case parseVersion(version) > formatVersion:
		return fmt.Errorf("%s is of version %q, and this build of stompbox reads up to %d: use the build that wrote it, or a newer one, or restore a backup into an empty folder", d.path, version, formatVersion)
	case version == versionWritten[0]:
		return nil
	}
	return os.WriteFile(d.file(formatFile), []byte(versionWritten[0]+"\n"), 0o600)
}
