package words

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Error is the message of an error in the language. Errors are made by packages
// and by a system that know no languages, out of sentences within sentences: so
// these are found again in the message.
func (l *Language) Error(err error) string {
	if l.patterns == nil {
		return err.Error()
	}
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		text := strings.TrimLeft(line, " ")
		lines[i] = line[:len(line)-len(text)] + l.again(text)
	}
	return strings.Join(lines, "\n")
}

// again is a message, or a part of one, with its sentences found again.
func (l *Language) again(text string) string {
	if !strings.Contains(text, " ") {
		return text // a name, whatever it means in English
	}
	for _, p := range l.patterns() {
		if args := p.match(text); args != nil {
			for i := range args {
				if p.nested[i] {
					args[i] = l.again(args[i].(string))
				}
			}
			return fmt.Sprintf(p.translation, args...)
		}
	}
	if before, behind, ok := strings.Cut(text, ": "); ok {
		return l.again(before) + ": " + l.again(behind)
	}
	return text
}

// A pattern matches what a sentence becomes.
type pattern struct {
	*regexp.Regexp
	plain       int    // characters of the sentence without its verbs
	nested      []bool // the argument may be a sentence itself
	translation string // of which each verb takes a string
}

func (p *pattern) match(text string) []any {
	m := p.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	args := make([]any, len(m)-1)
	for i, s := range m[1:] {
		args[i] = s
	}
	return args
}

// verb is a verb of package fmt: the argument's number, flags and the like, and
// the letter.
var verb = regexp.MustCompile(`%(\[\d+\])?([-+# 0-9.]*)([a-zA-Z%])`)

// compile makes the patterns of texts as parse reads them, in the order in which
// to try them: one with more words of its own says more of what it matches.
func compile(texts ...string) []pattern {
	var list []pattern
	for _, text := range texts {
		parse(text, func(english, translation string) { list = append(list, newPattern(english, translation)) })
	}
	slices.SortStableFunc(list, func(a, b pattern) int { return cmp.Compare(b.plain, a.plain) })
	return list
}

func newPattern(english, translation string) pattern {
	var p pattern
	expr, rest := "^", 0
	for _, m := range verb.FindAllStringSubmatchIndex(english, -1) {
		plain := english[rest:m[0]]
		rest = m[1]
		letter := english[m[6]]
		if letter == '%' {
			plain += "%"
		}
		expr += regexp.QuoteMeta(plain)
		p.plain += len(plain)
		switch letter {
		case '%':
			continue
		case 'd':
			expr += `(-?\d+)`
		case 'q':
			expr += `("(?:[^"\\]|\\.)*")`
		default:
			expr += `(.+?)`
		}
		p.nested = append(p.nested, strings.IndexByte("svw", letter) >= 0)
	}
	p.plain += len(english[rest:])
	p.Regexp = regexp.MustCompile(expr + regexp.QuoteMeta(english[rest:]) + "$")
	p.translation = verb.ReplaceAllStringFunc(translation, func(v string) string {
		if v == "%%" {
			return v
		}
		return verb.ReplaceAllString(v, "%${1}s")
	})
	return p
}
