package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"rawnc/stack/explain"
	"rawnc/stack/explain/words"
)

// A quiz asks about segments before the log tells of them (--quiz).
type quiz struct {
	explain.Quiz
	asker        *asker
	asked, right int
	over         bool // nobody wants to be asked any more
}

func newQuiz(a *asker, style explain.TextStyle) *quiz {
	return &quiz{Quiz: explain.Quiz{Style: style}, asker: a}
}

// quizOn holds a quiz about what is written. Its answers come from standard
// input, where that is free.
func quizOn(out output, level int, free bool) (*quiz, error) {
	t, ok := out.(*text)
	if !ok {
		return nil, errors.New("--quiz goes with what people read: leave --format json out")
	}
	a, err := newAsker(free, false)
	if err != nil {
		return nil, errors.New("--quiz asks at the terminal, and there is none: run it in one, or give the capture as a FILE, so that standard input is left to the answers")
	}
	q := newQuiz(a, explain.TextStyle{Level: level, Width: width()})
	t.ask = func(a *explain.Account) { q.pose(q.Ask(a)) }
	return q, nil
}

// pose asks a question and marks the answer; nil is no question.
func (q *quiz) pose(question *explain.Question) {
	if question == nil || q.over {
		return
	}
	if q.asked == 0 {
		q.say("The quiz: answer as the log would. Enter alone if you do not know; q, and there are no more questions")
	}
	show := func() { os.Stderr.WriteString(question.Text) }
	for {
		answer, ok := q.asker.ask(context.Background(), show)
		mark := question.Mark(answer)
		switch {
		case !ok, strings.EqualFold(answer, "q"):
			q.over = true
			q.say("no more questions")
			return
		case answer == "":
			mark = explain.Wrong
		case mark == explain.NoAnswer && question.WantsState():
			show = func() { q.say("that is none of the states, which are %s", strings.Join(explain.States(), ", ")) }
			continue
		case mark == explain.NoAnswer:
			show = func() { q.say("that is no number; Enter alone if you do not know it, q to quit the quiz") }
			continue
		}
		q.asked++
		if mark == explain.Right {
			q.right++
			q.say("right")
			return
		}
		q.say("no, it is %s:", question.Answer)
		for _, why := range question.Why {
			fmt.Fprintln(os.Stderr, words.Wrap("     "+why, width(), "       "))
		}
		return
	}
}

// score says how well it went.
func (q *quiz) score() {
	if q.asked > 0 {
		q.say("the quiz: %d of %d right", q.right, q.asked)
	}
}

func (q *quiz) say(format string, args ...any) {
	fmt.Fprintln(os.Stderr, words.Wrap(lang.Sprintf(format, args...), width(), ""))
}
