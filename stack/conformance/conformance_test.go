package conformance

import (
	"bufio"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/conformance.md anew")

const (
	root = "../.."
	page = root + "/docs/conformance.md"
)

// A requirement is an entry of requirements.txt.
type requirement struct {
	id, section, level string
	sentence           string
	notDone            string // why, if so
	but                string // what is to be said, though it is met
	tests              []string
}

// A chapter is the requirements of one RFC.
type chapter struct {
	title        string
	requirements []*requirement
}

// The page is what the tests say, no id is unknown, and every requirement is
// tested or argued away.
func TestConformance(t *testing.T) {
	chapters := readRequirements(t)
	byID := make(map[string]*requirement)
	for _, c := range chapters {
		for _, r := range c.requirements {
			if byID[r.id] != nil {
				t.Errorf("requirements.txt has %s twice", r.id)
			}
			byID[r.id] = r
		}
	}
	for test, ids := range readTests(t) {
		for _, id := range ids {
			if byID[id] == nil {
				t.Errorf("%s: no requirement has the id %s", test, id)
				continue
			}
			byID[id].tests = append(byID[id].tests, test)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		r := byID[id]
		slices.Sort(r.tests)
		if len(r.tests) == 0 && r.notDone == "" {
			t.Errorf("%s has no test: %s", id, r.sentence)
		}
	}

	got := write(chapters)
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("docs/conformance.md is not what the tests say; after go test ./stack/conformance -update it is (-want +got):\n%s", diff)
	}
}

func readRequirements(t *testing.T) (chapters []*chapter) {
	var c *chapter
	var r *requirement
	var into *string // what a further line belongs to
	for _, line := range readLines(t, "requirements.txt") {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "= "):
			c = &chapter{title: line[2:]}
			chapters = append(chapters, c)
		case strings.HasPrefix(line, "  not done: "):
			into = &r.notDone
			*into = strings.TrimPrefix(text, "not done: ")
		case strings.HasPrefix(line, "  but: "):
			into = &r.but
			*into = strings.TrimPrefix(text, "but: ")
		case line != text:
			*into = strings.TrimSpace(*into + " " + text)
		default:
			f := strings.SplitN(line, " ", 3)
			if c == nil || len(f) != 3 || !ids.MatchString(f[0]) {
				t.Fatalf("requirements.txt: not an id, a section and a level: %q", line)
			}
			r = &requirement{id: f[0], section: f[1], level: f[2]}
			c.requirements = append(c.requirements, r)
			into = &r.sentence
		}
	}
	return chapters
}

// readLines leaves out what is empty and comments.
func readLines(t *testing.T, name string) (lines []string) {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

var ids = regexp.MustCompile(`\b(?:(?:MUST|SHLD|MAY|REC)-\d+|RFC\d+-[\d.]+-\w+)`)

// readTests is which test of the module, as package.TestName, names which ids.
func readTests(t *testing.T) map[string][]string {
	tests := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Test") && !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			name := filepath.Base(filepath.Dir(path)) + "." + f.Name.Name
			for _, c := range file.Comments {
				if c == f.Doc || f.Pos() < c.Pos() && c.End() < f.End() {
					tests[name] = append(tests[name], ids.FindAllString(c.Text(), -1)...)
				}
			}
			slices.Sort(tests[name])
			tests[name] = slices.Compact(tests[name])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

func write(chapters []*chapter) string {
	var b strings.Builder
	b.WriteString(`# Conformance

What RFC 9293 and its companions demand of an endpoint, and the tests that show it. The ids of RFC 9293 are its own (appendix B);
the others are the RFC, the section and a letter. A test bears the ids in its comments, and fails when what they demand is
broken; this page is collected from there by ` + "`go test ./stack/conformance -update`" + `, and a test compares.

| RFC | requirements | met | not done |
|---|---:|---:|---:|
`)
	for _, c := range chapters {
		var notDone int
		for _, r := range c.requirements {
			if r.notDone != "" {
				notDone++
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", c.title, len(c.requirements), len(c.requirements)-notDone, notDone)
	}
	for _, c := range chapters {
		fmt.Fprintf(&b, "\n## %s\n\n| id | section | level | requirement | met | tests |\n|---|---|---|---|---|---|\n", c.title)
		for _, r := range c.requirements {
			met := "yes"
			switch {
			case r.notDone != "":
				met = "not done: " + r.notDone
			case r.but != "":
				met = "yes, but: " + r.but
			}
			sentence := strings.NewReplacer("|", "\\|", "<", "&lt;", "*", "\\*").Replace(r.sentence)
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.id, r.section, r.level, sentence, met, strings.Join(r.tests, ", "))
		}
	}
	return b.String()
}
