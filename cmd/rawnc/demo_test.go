//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/rogpeppe/go-internal/testscript"
)

// The demo needs neither root nor a network.
func TestDemo(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/demo"})
}

// A script may be anybody's: what it says does nothing to a terminal.
func TestDemoIsSafe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(name, []byte("title: a\x1b]0;b\a\nabout: c\x1b[2J\nclient opens\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("rawnc", "demo", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q can do something to a terminal", line)
		}
	}
}
