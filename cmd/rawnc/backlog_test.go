package main

import "testing"

// What waits has a bound, and what is being done counts.
func TestBacklogHasABound(t *testing.T) {
	at, free := make(chan bool), make(chan bool)
	b := newBacklog(func([]func()) {
		at <- true
		<-free
	})
	const piece = maxQueued / 8
	b.later(piece, nil)
	<-at // work has the first
	for range 10 {
		b.later(piece, nil)
	}
	free <- true
	<-at // the seven others that there was room for
	b.later(piece, nil)
	go func() {
		free <- true
		<-at
		free <- true
	}()
	if dropped := b.close(); dropped != 3 {
		t.Errorf("%d were dropped, want 3", dropped)
	}
}
