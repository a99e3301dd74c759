// Mutation breaks TCP on purpose, in one place at a time, and sees whether the
// tests notice. What they do not notice is a test that is missing.
//
//	go run ./stack/mutation          # all of mutations.txt, half an hour: make mutants
//	go run ./stack/mutation PAWS     # those whose name has the word
//
// The tests run on the changed file by go's -overlay: the source stays as it is.
// Those of the package itself come first, then those of the packages above; the
// first that fail end it. It exits with 1 if a mutation survives, if it does not
// compile, or if the text that it replaces does not stand there (once) any more.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed mutations.txt
var data string

// A mutation replaces what stands in a file by something wrong.
type mutation struct{ name, file, old, new string }

// parse reads mutations.txt: the name behind =, the file, and the lines to take
// out (-) and to put in (+) for them.
func parse(data string) (all []mutation) {
	for n, line := range strings.Split(data, "\n") {
		if name, ok := strings.CutPrefix(line, "= "); ok {
			all = append(all, mutation{name: name})
			continue
		} else if line == "" || line[0] == '#' {
			continue
		}
		m := &all[len(all)-1]
		switch line[0] {
		case '-':
			m.old = join(m.old, line)
		case '+':
			m.new = join(m.new, line)
		default:
			if m.file != "" {
				panic(fmt.Sprintf("mutations.txt:%d: %q", n+1, line))
			}
			m.file = line
		}
	}
	return all
}

// join adds a line without its first character. The last line stays open: what is
// replaced may be a part of a line.
func join(text, line string) string {
	if text != "" {
		text += "\n"
	}
	return text + line[1:]
}

// above are the packages whose tests run on a mutation, the cheapest first.
var above = []string{"./stack", "./rawtcp/wire", "./stack/...", "./rawtcp", "./cmd/...", "./pcapout/..."}

func main() {
	survived, broken := 0, 0
	for _, m := range parse(data) {
		if len(os.Args) > 1 && !strings.Contains(m.name, os.Args[1]) {
			continue
		}
		tests, err := m.try()
		switch {
		case err != nil:
			broken++
			fmt.Printf("%-9s %s: %v\n", "BROKEN", m.name, err)
		case tests == nil:
			survived++
			fmt.Printf("%-9s %s\n", "SURVIVED", m.name)
		default:
			fmt.Printf("%-9s %s: %s\n", "caught", m.name, strings.Join(tests, ", "))
		}
	}
	if survived+broken > 0 {
		fmt.Printf("%d survived, %d cannot be tried\n", survived, broken)
		os.Exit(1)
	}
}

// apply returns the changed file.
func (m mutation) apply() ([]byte, error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("it no longer applies: what it replaces stands %d times in %s", n, m.file)
	}
	return bytes.Replace(source, []byte(m.old), []byte(m.new), 1), nil
}

// try returns the tests that fail, or nil where all pass.
func (m mutation) try() ([]string, error) {
	mutant, err := m.apply()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, mutant, 0o666); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(m.file)
	if err != nil {
		return nil, err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(overlay, replace, 0o666); err != nil {
		return nil, err
	}
	own := "./" + filepath.Dir(m.file)
	from := max(slices.Index(above, own), 0)
	for _, packages := range append([]string{own}, above[from:]...) {
		// What docs/loss.md holds is no test of a rule.
		test := exec.Command("go", "test", "-overlay", overlay, "-failfast", "-timeout", "3m", "-skip", "Throughput", packages)
		test.Env = append(os.Environ(), "RAPID_NOFAILFILE=true") // which the next mutation would be tried with
		out, err := test.CombinedOutput()
		if bytes.Contains(out, []byte("[build failed]")) {
			return nil, fmt.Errorf("it does not compile: %s", out)
		} else if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
			return failures(out), nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

var failure = regexp.MustCompile(`(?m)^(?:--- FAIL: |\s+running tests:\n\s+)(\w+)|^panic: .*`)

// failures are the tests that failed, by name, or what else went wrong.
func failures(out []byte) (tests []string) {
	for _, match := range failure.FindAllSubmatch(out, -1) {
		if name := string(match[1]); name != "" {
			tests = append(tests, name)
		} else {
			tests = append(tests, string(match[0]))
		}
	}
	if tests == nil {
		tests = []string{string(out)}
	}
	return tests
}
