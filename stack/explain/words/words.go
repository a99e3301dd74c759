// Package words is the catalogue of languages: what each of the program's
// English sentences is in Chinese (zh.txt), and how lines of it are broken.
//
// A sentence is its own key, so code holds plain English, and a sentence that
// has no translation is still said.
package words

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"
)

//go:embed zh.txt
var ours string

//go:embed zh-others.txt
var others string

// A Language says the program's sentences.
type Language struct {
	Tag      language.Tag
	catalog  func() catalog.Catalog
	patterns func() []pattern
}

// The languages.
var (
	English = &Language{Tag: language.English}
	Chinese = &Language{
		Tag:      language.Chinese,
		catalog:  sync.OnceValue(func() catalog.Catalog { return build(language.Chinese, ours, others) }),
		patterns: sync.OnceValue(func() []pattern { return compile(ours, others) }),
	}
)

// In returns the language that comes closest to the tag.
func In(tag language.Tag) *Language {
	languages := []*Language{English, Chinese} // the first where nothing is close
	_, i, _ := language.NewMatcher([]language.Tag{English.Tag, Chinese.Tag}).Match(tag)
	return languages[i]
}

// parse gives each sentence of a text with its translation: two lines, and a
// blank one behind them. A line that begins with # is a comment.
func parse(text string, pair func(english, translation string)) {
	english := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			english = ""
		case english == "":
			english = line
		default:
			pair(english, line)
			english = ""
		}
	}
}

func build(tag language.Tag, texts ...string) catalog.Catalog {
	b := catalog.NewBuilder(catalog.Fallback(language.English))
	for _, text := range texts {
		parse(text, func(english, translation string) {
			if err := b.SetString(tag, english, translation); err != nil {
				panic(err) // the text is embedded, and a test reads it
			}
		})
	}
	return b
}

// Printer returns a printer that says the sentences, and writes numbers as the
// language does.
func (l *Language) Printer() *message.Printer {
	if l.catalog == nil {
		return message.NewPrinter(l.Tag)
	}
	return message.NewPrinter(l.Tag, message.Catalog(l.catalog()))
}

// Text is the sentence in the language, with its verbs.
func (l *Language) Text(english string) string {
	if l.catalog == nil {
		return english
	}
	r := found{english}
	l.catalog().Context(l.Tag, &r).Execute(english) // its error says that there is none
	return r.text
}

// found takes what a catalogue has (catmsg.Renderer).
type found struct{ text string }

func (f *found) Render(text string) { f.text = text }
func (f *found) Arg(int) any        { return nil }

// Sprintf says a sentence, with numbers as fmt writes them: it is for ports and
// frames, where a Printer would set the thousands apart. Errors are said in the
// language too.
func (l *Language) Sprintf(format string, args ...any) string {
	said := make([]any, len(args))
	for i, arg := range args {
		said[i] = arg
		if err, ok := arg.(error); ok {
			said[i] = l.Error(err)
		}
	}
	return fmt.Sprintf(l.Text(format), said...)
}
