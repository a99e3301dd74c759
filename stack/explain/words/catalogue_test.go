package words

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../../../"

// A sentence is where the source says something to people.
type sentence struct{ key, at string }

// sentences are all that the program says, found in its source. In the narrator
// and the program itself, every text with words in it is taken to be said: a new
// one cannot be forgotten. The libraries below say something in their errors.
func sentences(t *testing.T) []sentence {
	t.Helper()
	var all []sentence
	for dir, find := range map[string]func(*finder, ast.Node) bool{
		"cmd/rawnc": (*finder).text, "stack/explain": (*finder).text,
		"stack": (*finder).errors, "stack/fault": (*finder).errors, "stack/netsim/script": (*finder).errors,
		"rawtcp": (*finder).errors, "rawtcp/wire": (*finder).errors, "rawtcp/lab": (*finder).errors, "rawtcp/capture": (*finder).errors,
		"pcapout": (*finder).errors, "pcapout/reference": (*finder).errors,
	} {
		files, err := filepath.Glob(root + dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files: %v", dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f := &finder{files: token.NewFileSet()}
			file, err := parser.ParseFile(f.files, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool { return find(f, n) })
			all = append(all, f.found...)
		}
	}
	catalogue, err := os.ReadFile(root + "pcapout/reference/catalogue.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(catalogue)) {
		if title, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok {
			all = append(all, sentence{title, "pcapout/reference/catalogue.txt"})
		}
	}
	return all
}

type finder struct {
	files *token.FileSet
	found []sentence
}

// unsaid are texts in the narrator and the program that are not said: names of
// fields as Wireshark has them, units, and what computers read.
var unsaid = []string{
	"SACK permitted", "scale %d", "user timeout %#04x", // in the line of a segment
	"ms",                        // %v ms
	"rawnc", "rawnc %s", "%s s", // the program's name and version, in a capture
	"exit code %d", // never seen
}

var aWord = regexp.MustCompile(`\b[a-z]{2,}`)

// text finds every text with words in it.
func (f *finder) text(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.Field: // its tag
		return n.Tag == nil
	case *ast.CallExpr:
		switch name := called(n); {
		case name == "word":
			f.add(n.Args[0], true)
			return false
		case name == "say" || name == "mark":
			f.add(n.Args[0], true)
		case name == "boolFlag" || name == "stringFlag":
			f.add(n.Args[1], true)
			return false
		}
	case *ast.CompositeLit:
		if array, ok := n.Type.(*ast.ArrayType); ok && fmt.Sprint(array.Elt) == "word" {
			for _, e := range n.Elts {
				f.add(e, true)
			}
			return false
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "Usage" || key.Name == "Description") {
			f.add(n.Value, true)
			return false
		}
	case ast.Expr:
		if _, ok := constant(n); ok {
			f.add(n, false)
			return false
		}
	}
	return true
}

// errors finds the texts of errors.
func (f *finder) errors(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		switch called(n) {
		case "New", "Errorf", "damaged", "Expected", "Word":
			f.add(n.Args[0], false)
		case "Text":
			f.add(n.Args[0], true)
		case "Sprintf":
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && fmt.Sprint(f.X) == "fmt" {
				return true
			}
			f.add(n.Args[0], true)
		case "Number":
			if len(n.Args) == 3 {
				f.add(n.Args[0], false)
			}
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Err" {
			f.add(n.Value, false)
		}
	case *ast.CompositeLit:
		if name, ok := n.Type.(*ast.Ident); ok && name.Name == "SyntaxError" {
			for _, e := range n.Elts {
				f.add(e, false)
			}
		}
	case *ast.ValueSpec:
		if n.Names[0].Name == "icmpNames" {
			for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
				f.add(e, false)
			}
		}
	case *ast.FuncDecl:
		if slices.Contains([]string{"Error", "remedy", "List"}, n.Name.Name) {
			ast.Inspect(n.Body, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				_, ok = constant(e)
				if ok {
					f.add(e, false)
				}
				return !ok
			})
			return false
		}
	}
	return true
}

// called is the name of what is called, without its package or receiver.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// add takes the sentences of a text, one a line. A single word counts only where
// it is known to be said.
func (f *finder) add(e ast.Expr, single bool) {
	text, _ := constant(e)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		said := aWord.MatchString(verb.ReplaceAllString(line, "")) && (single || strings.Contains(line, " "))
		if said && !slices.Contains(unsaid, line) {
			f.found = append(f.found, sentence{line, strings.TrimPrefix(f.files.Position(e.Pos()).String(), root)})
		}
	}
}

// constant is the value of a text, with %s where something else is put into it.
func constant(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	case *ast.BinaryExpr:
		left, isLeft := constant(e.X)
		right, isRight := constant(e.Y)
		if e.Op != token.ADD || !isLeft && !isRight {
			return "", false
		}
		if !isLeft {
			left = "%s"
		}
		if !isRight {
			right = "%s"
		}
		return left + right, true
	}
	return "", false
}

func pairs(texts ...string) map[string]string {
	all := map[string]string{}
	for _, text := range texts {
		parse(text, func(english, translation string) { all[english] = translation })
	}
	return all
}

// Every sentence has its Chinese, and nothing else has.
func TestCatalogueIsComplete(t *testing.T) {
	chinese, foreign := pairs(ours), pairs(others)
	said := map[string]bool{}
	for _, s := range sentences(t) {
		if _, ok := foreign[s.key]; chinese[s.key] == "" && !ok && !said[s.key] {
			t.Errorf("%s: no Chinese for\n%s", s.at, s.key)
		}
		said[s.key] = true
	}
	if len(said) < 300 {
		t.Errorf("only %d sentences found", len(said))
	}
	for _, english := range slices.Sorted(maps.Keys(chinese)) {
		if !said[english] && aWord.MatchString(verb.ReplaceAllString(english, "")) {
			t.Errorf("nobody says\n%s", english)
		}
	}
}

// No sentence is there twice, and none lacks its second line.
func TestCatalogueIsWellFormed(t *testing.T) {
	for _, name := range []string{"zh.txt", "zh-others.txt"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i, block := range strings.Split(string(text), "\n\n") {
			lines := strings.Split(strings.TrimSpace(block), "\n")
			if lines[0] == "" || lines[0][0] == '#' {
				continue
			}
			if len(lines) != 2 || seen[lines[0]] {
				t.Errorf("%s: block %d: not a sentence and its translation, or there already:\n%s", name, i, block)
			}
			seen[lines[0]] = true
		}
	}
}

// A translation has the verbs of its sentence, though perhaps in another order.
func TestVerbsAgree(t *testing.T) {
	for english, chinese := range pairs(ours, others) {
		want, got := verbs(english), verbs(chinese)
		if !maps.Equal(want, got) {
			t.Errorf("%s\n%s\nverbs %v and %v", english, chinese, want, got)
		}
	}
}

// verbs are the verbs of a format by the number of their argument.
func verbs(format string) map[int]string {
	found := map[int]string{}
	next := 1
	for _, m := range verb.FindAllStringSubmatch(format, -1) {
		if m[3] == "%" {
			continue
		}
		if m[1] != "" {
			next, _ = strconv.Atoi(strings.Trim(m[1], "[]"))
		}
		found[next] = m[2] + m[3]
		next++
	}
	return found
}
