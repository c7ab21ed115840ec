package local

import (
	"io/fs"
	"path/filepath"
	"strings"
)

// WalkSources calls visit with the path of each file below root whose name ends in suffix. What
// belongs to tools and packages of others is left out.
func WalkSources(root, suffix string, visit func(path string) error) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		return visit(path)
	})
}
