package script_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"rawnc/stack/fault"
	"rawnc/stack/netsim/script"
)

func documentation(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The examples of the documentation run.
func TestDocumentation(t *testing.T) {
	ran := 0
	for i, block := range strings.Split(documentation(t), "```") {
		block, ok := strings.CutPrefix(block, "\n")
		if i%2 == 0 || !ok || !strings.Contains(block, "client opens\n") {
			continue
		}
		ran++
		if !strings.HasPrefix(block, "title:") {
			block = "title: Example\n" + block
		}
		if _, err := parse(t, block).Run(1); err != nil {
			t.Error(err)
		}
	}
	if ran < 2 {
		t.Errorf("%d examples found", ran)
	}
}

// It has all names.
func TestDocumentedNames(t *testing.T) {
	_, text, _ := strings.Cut(documentation(t), "`because` asks")
	because, text, _ := strings.Cut(text, "`judges` asks")
	judges, _, _ := strings.Cut(text, "`reads` counts")
	for expectation, documented := range map[string]string{"expect client ACK because": because, "expect client judges": judges} {
		_, err := script.Parse("test", "title: Names\n"+expectation)
		var wrong *fault.SyntaxError
		if !errors.As(err, &wrong) {
			t.Fatalf("%s: %v", expectation, err)
		}
		for _, name := range strings.Split(strings.Replace(wrong.Expected, " or ", ", ", 1), ", ") {
			if !regexp.MustCompile(`[ \n]` + regexp.QuoteMeta(name) + `[,;.\n]`).MatchString(documented) {
				t.Errorf("%s %s is not in docs/scenarios.md", expectation, name)
			}
		}
	}
}
