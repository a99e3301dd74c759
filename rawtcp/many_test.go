package rawtcp

import (
	"testing"
	"testing/synctest"
	"time"
)

// Among many idle connections one is served as if it were alone: once their timers
// have run out they stand in nothing that a packet or the clock goes through.
func TestIdleConnectionsAreInNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients, servers := pairs(t, 200)
		time.Sleep(time.Minute)
		for _, h := range []*Host{clients[0].host, servers[0].host} {
			h.mu.Lock()
			if len(h.conns) != 200 {
				t.Errorf("%d connections, want 200", len(h.conns))
			}
			if n := len(h.deadlines) + len(h.followers) + len(h.touched); n > 0 {
				t.Errorf("idle, and %d have a deadline, %d are waited for, %d have something to do",
					len(h.deadlines), len(h.followers), len(h.touched))
			}
			h.mu.Unlock()
		}
	})
}
