//go:build linux

// Package labtest is for tests that need a network of their own, or programs
// that may not be installed. Where one is missing the test is skipped, and
// says what to do; in continuous integration (CI=true) it fails.
package labtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"rawnc/rawtcp/lab"
)

// NewPair is lab.NewPair for the time of the test.
func NewPair(t testing.TB) *lab.Pair {
	t.Helper()
	pair, err := lab.NewPair()
	if err != nil {
		Missing(t, err.Error())
	}
	t.Cleanup(func() { pair.Close() })
	return pair
}

// NewSwitch is lab.NewSwitch for the time of the test.
func NewSwitch(t testing.TB, n int) *lab.Switch {
	t.Helper()
	s, err := lab.NewSwitch(n)
	if err != nil {
		Missing(t, err.Error())
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// NeedPrograms ends the test unless every program is installed.
func NeedPrograms(t testing.TB, names ...string) {
	t.Helper()
	var missing []string
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		Missing(t, "not installed: "+strings.Join(missing, ", ")+"; `make deps` installs what the tests need")
	}
}

// NeedRoot ends the test unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "needs root: run the tests with sudo")
	}
}

// Missing ends the test because of what the machine lacks: a failure if
// CI=true, else skipped.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}
