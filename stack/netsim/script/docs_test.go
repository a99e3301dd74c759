package script_test

import (
	"os"
	"strings"
	"testing"
)

// The examples of the documentation run.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for i, block := range strings.Split(string(text), "```") {
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
