package capture_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/text/language"

	"rawnc/stack/explain"
)

// What docs/ shows of the article's capture is what we say of it.
func TestArticleDocument(t *testing.T) {
	for name, lang := range map[string]language.Tag{"article.md": language.English, "article.zh.md": language.Chinese} {
		var said strings.Builder
		for _, a := range accountsIn(t, "testdata/kernel/article.pcap", lang) {
			for level := range 2 {
				said.WriteString(explain.TextStyle{Level: level}.Format(a))
			}
		}
		page, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		shown, fence := 0, "" // what opened the block
		for line := range strings.Lines(string(page)) {
			line = strings.TrimSpace(line)
			switch {
			case fence != "" && line == "```":
				fence = ""
			case strings.HasPrefix(line, "```"):
				fence = line
			case fence == "```":
				shown++
				if !strings.Contains(said.String(), line) {
					t.Errorf("%s shows what is not said: %s", name, line)
				}
			}
		}
		if shown < 10 {
			t.Errorf("%s shows %d lines, and not even the ten segments", name, shown)
		}
	}
}
