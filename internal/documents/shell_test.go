package documents

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShellBlocksSayHowTheyRun: each is run by TestShellBlocksRun or by another test, or it
// says why it is not. All of them are read by a shell.
func TestShellBlocksSayHowTheyRun(t *testing.T) {
	t.Parallel()
	for _, b := range allBlocks(t, "sh") {
		known := strings.HasPrefix(b.mark, "run: ") || strings.HasPrefix(b.mark, "test: ") || b.skipped()
		require.True(t, known, "%s:%d: say <!-- run: scenario --> or <!-- not run: why --> above the block, not %q", b.file, b.line, b.mark)
		check := exec.Command("bash", "-n")
		check.Stdin = strings.NewReader(b.text)
		said, err := check.CombinedOutput()
		require.NoError(t, err, "%s:%d: %s", b.file, b.line, said)
	}
}

// TestShellBlocksRun runs the blocks of each scenario in their order, on a machine of their
// own: `run: name`, with `terminal 2` for another terminal, and `stays` for a program that
// goes on running. A text block that follows has the output; one with `prints: name,
// terminal 2` has what another terminal prints next. `interrupt: name, terminal 2` presses
// Ctrl-C there. `installed` is for readers who have the program, and no checkout.
func TestShellBlocksRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a checkout")
	}
	m := newMachine(t)
	defer func() {
		m.close()
		m.clean()
	}()
	wanted := os.Getenv("SCENARIO")
	for _, file := range documents(t) {
		scenario, files := "", make(map[string]string)
		for _, b := range blocksOf(t, file) {
			if name, ok := strings.CutPrefix(b.mark, "file: "); ok {
				files[name] = b.text
			}
			if mark, ok := strings.CutPrefix(b.mark, "prints: "); ok {
				if name, terminal, _ := strings.Cut(mark, ", "); name == scenario {
					m.prints(b, terminal)
				}
				continue
			}
			mark, ok := strings.CutPrefix(b.mark, "run: ")
			if !ok || b.language != "sh" {
				continue
			}
			options := strings.Split(mark, ", ")
			if !strings.HasPrefix(options[0], wanted) {
				continue
			}
			for _, terminal := range b.interrupts {
				m.terminals[terminal].interrupt()
			}
			if options[0] != scenario {
				m.close()
				m.clean()
				scenario = options[0]
			}
			name, stays := "terminal 1", false
			for _, option := range options[1:] {
				switch {
				case option == "stays":
					stays = true
				case option == "installed":
					m.install()
				case strings.HasPrefix(option, "terminal "):
					name = option
				default:
					t.Fatalf("%s:%d: %q is no option", b.file, b.line, option)
				}
			}
			for path, text := range files {
				m.write(path, text)
			}
			t.Logf("%s:%d in %s", b.file, b.line, name)
			m.run(b, name, stays)
		}
	}
}

// write writes a file of a document, with the mark file: name.
func (m *machine) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.checkout, name)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m.t, os.WriteFile(path, []byte(text), 0o600))
}

// clean removes what a scenario left in the checkout. A configuration there would change
// what the commands of other pages do, for a reader who goes on in the same checkout.
func (m *machine) clean() {
	m.t.Helper()
	require.NoFileExists(m.t, filepath.Join(m.checkout, "stompbox.yaml"), "make a folder for it")
	require.NoError(m.t, os.RemoveAll(m.installed))
	for _, pattern := range []string{"*.secret", "*.token", "*.key", "*.pem", "*-data", "my*", "examples/mine", "*.mjs", "*.html"} {
		left, err := filepath.Glob(filepath.Join(m.checkout, pattern))
		require.NoError(m.t, err)
		for _, path := range left {
			require.NoError(m.t, os.RemoveAll(path))
		}
	}
}

// TestCommandsReadFilesOfTheServiceWithSudo: only root and the service may read /etc/stompbox, so
// the shell of an operator can neither read a file there nor list the folder for a pattern.
func TestCommandsReadFilesOfTheServiceWithSudo(t *testing.T) {
	t.Parallel()
	hereDocument := regexp.MustCompile(`(?s)<<'?END'?(.*?\n)(.*?)\nEND\n`)
	quoted := regexp.MustCompile(`'[^']*'`)
	sudo := regexp.MustCompile(`^(until |while |if |do |then )?sudo `)
	found := 0
	for _, b := range allBlocks(t, "sh") {
		text := hereDocument.ReplaceAllString(b.text, "$1")
		text = strings.ReplaceAll(quoted.ReplaceAllString(text, "''"), "\\\n", " ")
		for _, command := range regexp.MustCompile(`[;|\n]|&&|\$\(`).Split(text, -1) {
			command = strings.TrimSpace(command)
			if !strings.Contains(command, "/etc/stompbox") || strings.HasPrefix(command, "#") {
				continue
			}
			found++
			require.Regexp(t, sudo, command, "%s:%d", b.file, b.line)
			require.NotContains(t, command, "*", "%s:%d: the operator's shell cannot list the folder", b.file, b.line)
		}
	}
	require.NotZero(t, found)
}
