package rawtcp

import "testing"

// Who asks while the lock is held does not wait: the holder serves when he unlocks. And
// what is asked for while he serves, he serves too.
func TestLock(t *testing.T) {
	served := 0
	var l lock
	l.serve = func() {
		if l.TryLock() {
			t.Error("serves without the lock")
		}
		if served++; served == 2 {
			l.ask()
		}
	}
	l.ask()
	if served != 1 {
		t.Fatalf("asked while nobody held the lock: served %d times, want 1", served)
	}
	l.Lock()
	l.ask()
	l.ask()
	if served != 1 {
		t.Fatalf("served %d times while the lock was held, want 1", served)
	}
	l.Unlock()
	if served != 3 {
		t.Fatalf("unlocked: served %d times, want 3", served)
	}
}
