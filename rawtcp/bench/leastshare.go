package main

import "sync/atomic"

// share has goroutines open, use and close so many connections, as those who call
// rawtcp do. The loop serves them.
func (l *least) share(goroutines int, n int64) error {
	l.over = func(c *leastConn) {
		if !c.closing {
			c.turn <- struct{}{}
			return
		}
		l.release(c)
		l.left--
	}
	var begun atomic.Int64
	for range goroutines {
		go func() {
			for begun.Add(1) <= n {
				l.mu.Lock()
				c := l.connect(0, 0)
				c.turn = make(chan struct{}, 1)
				l.unlock()
				<-c.turn
				l.mu.Lock()
				l.exchange(c, 16, 16)
				l.unlock()
				<-c.turn
				l.mu.Lock()
				c.closing = true
				l.exchange(c, 1, 1)
				l.unlock()
			}
		}()
	}
	return l.run()
}

// unlock is for a goroutine that has done something. While the loop reads it has to
// send that itself.
func (l *least) unlock() {
	if l.reading {
		l.send()
	}
	l.mu.Unlock()
}
