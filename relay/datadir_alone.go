package relay

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// errAlone says that a node of a cluster would remove what a node that ran alone has kept.
var errAlone = errors.New("it is of a node that ran alone, and NATS removes what such a node has kept when it joins a cluster; make a backup without cluster.listen, start the cluster with empty data directories, and restore the backup")

// Where JetStream keeps what all servers of a cluster agree on, and the streams of a server.
var (
	metaFolder    = filepath.Join("jetstream", "$SYS", "_js_", "_meta_")
	streamsFolder = filepath.Join("jetstream", "*", "streams", "*")
)

// CheckDataDir returns an error where an embedded server of a cluster would remove what a data
// directory has, since the node ran alone. It does not change the directory. A directory that
// cannot be read is no error.
func CheckDataDir(path string) error {
	d := &dataDir{path: path}
	if d.wasClustered() {
		return nil
	}
	if streams, err := filepath.Glob(d.file(streamsFolder)); err == nil && len(streams) > 0 {
		return fmt.Errorf("relay: the data directory %s: %w", path, errAlone)
	}
	return nil
}

// wasClustered reports whether the directory is of a server of a cluster.
func (d *dataDir) wasClustered() bool {
	_, err := os.Stat(d.file(metaFolder))
	return err == nil
}

// noteNode writes down the name in a cluster of the server whose folder it is, and returns the
// name that it has had, where that is another one.
func (d *dataDir) noteNode(name string) (before string, err error) {
	text, err := os.ReadFile(d.file(nodeFile))
	switch before = strings.TrimSpace(string(text)); {
	case errors.Is(err, os.ErrNotExist) || err == nil && before == "":
		return "", os.WriteFile(d.file(nodeFile), []byte(name+"\n"), 0o600)
	case err != nil || before == name:
		return "", err
	}
	return before, nil
}

// warnOfOther says where a server of other settings had the folder.
func (d *dataDir) warnOfOther(log *slog.Logger, cluster *ClusterOptions, wasClustered bool) {
	switch {
	case cluster == nil && wasClustered:
		log.Warn("this node runs alone, and its data directory is of a node of a cluster; what was kept on several nodes is not all read. Restore a backup of the cluster into an empty data directory", "data_dir", d.path)
	case cluster != nil:
		before, err := d.noteNode(cluster.Node)
		if err == nil && before != "" {
			log.Warn("the data directory is of a node with another name; what only that node kept is out of reach, and what it kept with others has a copy less. Give cluster.node its name again, or begin with an empty data directory",
				"data_dir", d.path, "node", cluster.Node, "before", before)
		}
	}
}
