package rawtcp

import (
	"sync"
	"sync/atomic"
)

// A lock is a mutex whose holder also serves the timer. A timer that waited in the
// mutex's queue would be woken, in vain, with every Unlock of a call that takes it
// again at once, as one does that writes without end; and each time on another processor.
type lock struct {
	sync.Mutex
	asked atomic.Bool
	serve func() // with the lock held
}

// Unlock unlocks, and serves if that was asked for meanwhile.
func (l *lock) Unlock() {
	l.Mutex.Unlock()
	l.help()
}

// ask has serve called at once or, where somebody holds the lock, by him.
func (l *lock) ask() {
	l.asked.Store(true)
	l.help()
}

func (l *lock) help() {
	if l.asked.Load() && l.TryLock() {
		if l.asked.Swap(false) {
			l.serve()
		}
		l.Unlock()
	}
}
