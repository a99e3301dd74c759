package main

import (
	"context"
	"strings"
	"testing"
)

// A connection that is ending takes nothing: it is for the next.
func TestInputOutlivesConnection(t *testing.T) {
	in := newInput(&options{}, strings.NewReader("for the next\n"))
	ended, end := context.WithCancel(context.Background())
	end()
	for range 100 { // for select chooses by chance
		if err := (&session{input: in}).send(ended); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(<-in.pieces); got != "for the next\n" {
		t.Errorf("got %q", got)
	}
	in.taken <- len("for the ")
	if got := string(<-in.pieces); got != "next\n" {
		t.Errorf("what was left is %q", got)
	}
	in.taken <- len("next\n")
	if _, more := <-in.pieces; more {
		t.Error("there is more")
	}
}
