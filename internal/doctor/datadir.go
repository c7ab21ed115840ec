package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/stompbox/stompbox/relay"
)

const (
	littleSpace = 1 << 30   // bytes free, below which a warning is due
	noSpace     = 100 << 20 // bytes free, below which messages will soon be refused
)

// dataDir checks the folder of the embedded NATS server.
func checkDataDir(_ context.Context, e *examination) []Result {
	if e.c.NATS.URL != "" {
		return nil // nothing is kept on this machine
	}
	const check = "data_dir"
	dir, err := filepath.Abs(e.c.DataDir)
	if err != nil {
		return []Result{fail(check, "set data_dir to a full path", "%v", err)}
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return checkMissingDataDir(e, dir)
	}
	if err != nil || !info.IsDir() {
		return []Result{fail(check, "set data_dir to a folder that this user may use", "%s cannot be used: %v", dir, notAFolder(err))}
	}
	all := []Result{checkDataDirUse(e, dir, info)}
	return append(all, checkSpace(e, dir))
}

func notAFolder(err error) error {
	if err == nil {
		return errors.New("it is not a folder")
	}
	return err
}

// missingDataDir looks at the nearest parent that exists: serve makes the rest.
func checkMissingDataDir(e *examination, dir string) []Result {
	const check = "data_dir"
	parent := filepath.Dir(dir)
	for {
		if _, err := os.Stat(parent); err == nil || parent == filepath.Dir(parent) {
			break
		}
		parent = filepath.Dir(parent)
	}
	err := writable(parent)
	if noRoom(err) {
		return []Result{fail(check, makeRoom, "%s does not exist and cannot be made: %v", dir, err), checkSpace(e, parent)}
	}
	if err != nil {
		return []Result{fail(check, "make it for the user that runs serve: install -d -o USER "+dir, "%s does not exist and cannot be made: %v", dir, err)}
	}
	return []Result{ok(check, "%s does not exist; serve makes it", dir), checkSpace(e, parent)}
}

// dataDirUse checks who uses the folder, and whether this user may.
func checkDataDirUse(e *examination, dir string, info fs.FileInfo) Result {
	const check = "data_dir"
	err := writable(dir)
	if noRoom(err) {
		return fail(check, makeRoom, "%s cannot be written: %v", dir, err)
	}
	if err != nil {
		return fail(check, "give it to the user that runs serve: chown -R USER "+dir, "%s cannot be written: %v", dir, err)
	}
	holder, err := relay.DataDirHolder(dir)
	switch {
	case err != nil:
		return warn(check, "", "who uses %s cannot be found out: %v", dir, err)
	case holder != "" && e.Running:
		return ok(check, "%s is in use, as the broker runs", dir)
	case holder != "":
		return fail(check, "end that process, or give each broker a data_dir of its own", "%s is in use by %s", dir, holder)
	case e.Running:
		return warn(check, "restart the broker if this configuration is newer than the process", "a broker runs that does not use %s", dir)
	case info.Mode().Perm()&0o007 != 0 && messagesIn(dir):
		return warn(check, "chmod 0700 "+dir, "%s, where messages are kept, is open to all users of this machine", dir)
	}
	return ok(check, "%s is writable, and no process uses it", dir)
}

// makeRoom is what to do about a full disk.
const makeRoom = "make room, or move data_dir to a larger disk"

// noRoom reports whether a disk is full, or a quota.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func messagesIn(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "nats"))
	return err == nil
}

// writable makes a file and removes it.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	name := f.Name()
	_, err = f.Write([]byte("x"))
	return errors.Join(err, f.Close(), os.Remove(name))
}

// space checks the disk below a folder.
func checkSpace(e *examination, dir string) Result {
	d, err := diskOf(dir)
	if err != nil {
		return warn("disk", "", "the free space of %s cannot be read: %v", dir, err)
	}
	return checkDisk(e, dir, d)
}

func checkDisk(e *examination, dir string, d disk) Result {
	const check = "disk"
	switch want := e.c.Data.MaxBytes; {
	case d.free < noSpace:
		return fail(check, makeRoom, "%s has %s free: queues and histories will refuse messages", dir, bytesText(d.free))
	case want > 0 && !e.Running && uint64(want) > d.free:
		return warn(check, "make room, or lower data.max_bytes", "%s has %s free, less than data.max_bytes, %s", dir, bytesText(d.free), bytesText(uint64(want)))
	case d.volatile:
		return warn(check, "move data_dir to a disk", "%s is in memory: queues and histories are lost when the machine restarts", dir)
	case d.network:
		return warn(check, "move data_dir to a local disk", "%s is on a network file system, which JetStream is not made for", dir)
	case d.free < littleSpace:
		return warn(check, makeRoom, "%s has %s free", dir, bytesText(d.free))
	}
	return ok(check, "%s has %s free", dir, bytesText(d.free))
}
