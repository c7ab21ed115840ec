package config

import (
	"bytes"
	_ "embed"
	"path/filepath"
)

// StartingFile is a first configuration, with comments.
//
//go:embed starting.yaml
var StartingFile []byte

// Starting is StartingFile with the secret in a file: relative paths are those of the folder
// that serve is started in, so that one in another folder is named in full.
func Starting(secret string) []byte {
	if filepath.Dir(secret) == "." {
		return StartingFile
	}
	if full, err := filepath.Abs(secret); err == nil {
		secret = full
	}
	return bytes.Replace(StartingFile, []byte("secret_file: jwt.secret"), []byte("secret_file: "+flow(secret)), 1)
}
