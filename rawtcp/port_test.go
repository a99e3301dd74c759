package rawtcp

import (
	"context"
	"io"
	"net"
	"testing"

	"rawnc/stack"
)

// Where many connections wait in TIME-WAIT, their ports are taken again: towards
// another peer, and towards the same one if there are timestamps.
func TestPortsAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		ports        int // that two servers have
		noTimestamps bool
		want         int
	}{
		"one peer":           {1, false, 5},
		"two peers":          {2, false, 5},
		"without timestamps": {1, true, 20},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := hosts(t)
			a.mostWaiting = 4
			var listeners []net.Listener
			for range tc.ports {
				l, err := (&ListenConfig{Host: b}).Listen(context.Background(), "tcp", "192.0.2.2:0")
				if err != nil {
					t.Fatal(err)
				}
				listeners = append(listeners, l)
			}
			d := Dialer{Host: a, Config: stack.Config{NoTimestamps: tc.noTimestamps}}
			for i := range 20 {
				l := listeners[i%tc.ports]
				c, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				s, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				c.Write([]byte("hello"))
				c.Close()
				if got, err := io.ReadAll(s); string(got) != "hello" || err != nil {
					t.Errorf("connection %d: %q, %v", i, got, err)
				}
				s.Close()
				if err := c.(*Conn).Wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if len(a.ports) != tc.want {
				t.Errorf("%d ports, want %d", len(a.ports), tc.want)
			}
		})
	}
}
