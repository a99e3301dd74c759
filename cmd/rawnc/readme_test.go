//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rawnc/rawtcp/lab/labtest"
)

const readme = "../../README.md"

// blocks are the README's blocks of code in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	if found == nil {
		t.Fatalf("no block of %s in the README", language)
	}
	return found
}

// The README's first command does what the README says.
func TestReadmeFirstCommand(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "tshark")
	first, _, _ := strings.Cut(blocks(t, "sh")[0], "\n")
	rest, ok := strings.CutPrefix(first, "go run ./cmd/rawnc ")
	if !ok {
		t.Fatalf("the first command is %q", first)
	}
	cmd := exec.Command("sh", "-c", "rawnc "+rest)
	cmd.Dir = t.TempDir()
	start(t, cmd).ends(0)
	checkArticle(t, filepath.Join(cmd.Dir, "article.pcapng"))
}

// Every command line of rawnc's in the README is one that it understands.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	app := newApp()
	commands := regexp.MustCompile(`(?m)(?:^|=')rawnc ([^|<>#'\n]*)`)
	n := 0
	for _, block := range blocks(t, "sh") {
		for _, m := range commands.FindAllStringSubmatch(block, -1) {
			args, err := arrange(app, append([]string{"rawnc"}, strings.Fields(m[1])...))
			if err != nil {
				t.Errorf("rawnc %s: %v", m[1], err)
				continue
			}
			words := args[len(args)-1]
			if app.Command(args[1]) == nil || words == "--" {
				t.Errorf("rawnc %s: arranged as %q", m[1], args)
			}
			n++
		}
	}
	if n < 8 {
		t.Errorf("only %d commands found", n)
	}
}

// Every flag that the README names is there.
func TestReadmeFlags(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	app := newApp()
	for _, m := range regexp.MustCompile("`(--?[a-zA-Z0-9-]+)").FindAllStringSubmatch(string(text), -1) {
		if m[1] == "-vv" {
			m[1] = "-v" // twice
		}
		known := false
		for _, command := range app.Commands {
			known = known || flagOf(command, m[1]) != nil
		}
		if !known {
			t.Errorf("there is no flag %s", m[1])
		}
	}
}

// The README's Go compiles.
func TestReadmeGo(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "go")
	for _, program := range blocks(t, "go") {
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(program), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}
