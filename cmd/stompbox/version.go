package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// A release sets these with the linker's -X. A plain go build or go install leaves
// them empty, and buildOf falls back to what the toolchain recorded.
var (
	releaseVersion string
	releaseCommit  string
	releaseDate    string // RFC 3339
)

// build is what a binary knows about its own making.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"` // of the commit, RFC 3339
	Modified bool   `json:"modified"`       // the work tree had changes that are in no commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the commit, and the Go version it was built with",
		Example: "  stompbox version\n  stompbox version --json",
		Args:    cobra.NoArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b := currentBuild()
		if *asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
		}
		return b.print(cmd.OutOrStdout())
	}
	return cmd
}

// version names this binary in logs and in the server header.
func version() string { return currentBuild().Version }

func currentBuild() build {
	info, _ := debug.ReadBuildInfo()
	return buildOf(info)
}

// buildOf merges what the linker set with what the toolchain recorded. The linker
// wins, as a release knows its tag where the toolchain may not.
func buildOf(info *debug.BuildInfo) build {
	b := build{Version: releaseVersion, Commit: releaseCommit, Date: releaseDate, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		info = new(debug.BuildInfo)
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision" && b.Commit == "":
			b.Commit = setting.Value
		case setting.Key == "vcs.time" && b.Date == "":
			b.Date = setting.Value
		case setting.Key == "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

func (b build) print(w io.Writer) error {
	commit := b.Commit
	switch {
	case commit == "":
		commit = "unknown"
	case b.Modified:
		commit += ", with changes that are not committed"
	}
	if _, err := fmt.Fprintf(w, "stompbox %s\ncommit   %s\n", b.Version, commit); err != nil {
		return err
	}
	if b.Date != "" {
		if _, err := fmt.Fprintf(w, "date     %s\n", b.Date); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "go       %s\nplatform %s\n", b.Go, b.Platform)
	return err
}
