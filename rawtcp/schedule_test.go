package rawtcp

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"rawnc/stack"
)

// A busyLink's reader has other things to do, with a batch in its hands, while
// somebody has the token.
type busyLink struct {
	Link
	token chan bool
}

func (l *busyLink) ReadBatch(bufs [][]byte) (int, error) {
	n, err := l.Link.ReadBatch(bufs)
	<-l.token
	l.token <- true
	return n, err
}

// More ACKs than two batches hold have arrived, and nobody has come to read them
// when the timeouts are due. They are read first: nothing is sent again. Unless
// it takes too long: where a flood comes, the clock goes on too.
func TestWhatHasArrivedIsNotMissing(t *testing.T) {
	for late, again := range map[time.Duration]bool{mostLate / 2: false, 2 * mostLate: true} {
		synctest.Test(t, func(t *testing.T) {
			la, lb := MemoryPair(addrA, addrB, 1500)
			link := &busyLink{Link: la, token: make(chan bool, 1)}
			link.token <- true
			a, b := NewHost(link), NewHost(lb)
			defer a.Close()
			defer b.Close()
			l, err := (&ListenConfig{Host: b}).Listen(t.Context(), "tcp", "192.0.2.2:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			resent := 0
			d := Dialer{Host: a, Tap: func(e *Event) {
				if e.Reason.Kind == stack.ReasonTailProbe || e.Reason.Kind == stack.ReasonRetransmitTimeout {
					resent++
				}
			}}
			var conns []*Conn
			for range 3 * readBatch {
				c, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := l.Accept(); err != nil {
					t.Fatal(err)
				}
				conns = append(conns, c.(*Conn))
			}
			<-link.token
			for _, c := range conns {
				if _, err := c.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			a.mu.Lock()
			due := a.deadlines[0].deadline // of all: they have written at once
			a.mu.Unlock()
			time.Sleep(time.Until(due) + late)
			link.token <- true
			for _, c := range conns {
				if err := c.Drain(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			if (resent > 0) != again {
				t.Errorf("%v late: %d segments were sent again", late, resent)
			}
		})
	}
}
