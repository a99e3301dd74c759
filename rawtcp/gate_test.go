package rawtcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rawnc/stack"
)

// A diary is what a tap was told: a line an event.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) tap(e *Event) {
	if e.Packet == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	line := "< " + e.Segment.Flags.String()
	if e.Sent {
		line = "> " + e.Segment.Flags.String()
	}
	if len(e.Segment.Payload) > 0 {
		line += fmt.Sprintf(" %q", e.Segment.Payload)
	}
	if e.Made != nil {
		line += ", edited"
	}
	if e.Err != nil {
		line += ", " + e.Err.Error()
	}
	d.lines = append(d.lines, line)
}

func (d *diary) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

func (d *diary) expect(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), d.text()); diff != "" {
		t.Errorf("what crossed (-want +got):\n%s", diff)
	}
}

// gated opens a connection whose segments a gate decides over, to a peer that
// has none. Time is virtual: it must be called in a synctest bubble.
func gated(t *testing.T, gate Gate) (c *Conn, peer net.Conn, seen *diary) {
	t.Helper()
	a, b := hosts(t)
	l, err := (&ListenConfig{Host: b}).Listen(context.Background(), "tcp", "192.0.2.2:0")
	if err != nil {
		t.Fatal(err)
	}
	seen = &diary{}
	conn, err := (&Dialer{Host: a, Tap: seen.tap, Gate: gate}).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if peer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	return conn.(*Conn), peer, seen
}

// Ten seconds over each segment: our timers wait, and the peer's do not.
func TestGateTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, seen := gated(t, func(context.Context, *Event) bool {
			time.Sleep(10 * time.Second)
			return true
		})
		fmt.Fprint(c, "hello")
		c.CloseWrite()
		if b, err := io.ReadAll(peer); string(b) != "hello" || err != nil {
			t.Errorf("the peer read %q, %v", b, err)
		}
		peer.Close()
		c.Close()
		if err := c.Wait(context.Background()); err != nil {
			t.Error(err)
		}
		if state := c.Snapshot().State; state != stack.StateTimeWait {
			t.Errorf("the end is %v", state)
		}
		if n := c.Snapshot().Retransmits; n != 0 {
			t.Errorf("%d segments were sent again: the clock did not stand still", n)
		}
		// The peer cannot wait, and sends again; all that is answered by one ACK.
		if got := seen.text(); !strings.Contains(got, "< SYN,ACK\n< SYN,ACK") || strings.Contains(got, "> ACK\n> ACK\n> ACK") {
			t.Errorf("what crossed:\n%s", got)
		}
		seen.lines = slices.Compact(seen.lines)
		seen.expect(t,
			"> SYN", "< SYN,ACK", "> ACK",
			`> FIN,PSH,ACK "hello"`, // written while there was time
			"< ACK", "< FIN,ACK",
			"> ACK", // and only then the end
		)
	})
}

// Who thinks too long finds that the peer has given up; nothing leaves then.
func TestGateThinksTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := hosts(t)
		l, err := (&ListenConfig{Host: b, Config: stack.Config{UserTimeout: time.Minute}}).Listen(context.Background(), "tcp", "192.0.2.2:0")
		if err != nil {
			t.Fatal(err)
		}
		gaveUp := make(chan struct{})
		seen := &diary{}
		c, err := (&Dialer{Host: a, Tap: seen.tap, Gate: func(ctx context.Context, e *Event) bool {
			if e.Segment.Flags == stack.ACK {
				<-ctx.Done()
				close(gaveUp)
			}
			return true
		}}).Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		<-gaveUp
		if _, err := c.Write([]byte("hello")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Write: %v", err)
		}
		synctest.Wait()
		if got := seen.text(); strings.Contains(got, "> ACK") || !strings.HasSuffix(got, "RST,ACK") {
			t.Errorf("what crossed:\n%s", got)
		}
	})
}

// What the gate drops is lost: TCP sends it again.
func TestGateDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		c, peer, seen := gated(t, func(_ context.Context, e *Event) bool {
			drop := len(e.Segment.Payload) > 0 && first
			first = first && !drop
			return !drop
		})
		fmt.Fprint(c, "hello")
		b := make([]byte, 5)
		if _, err := io.ReadFull(peer, b); string(b) != "hello" || err != nil {
			t.Errorf("the peer read %q, %v", b, err)
		}
		synctest.Wait()
		seen.expect(t, "> SYN", "< SYN,ACK", "> ACK",
			`> PSH,ACK "hello", dropped by the gate`, `> PSH,ACK "hello"`)
	})
}

// What the gate changes is sent so, under a right checksum: the peer believes
// the RST.
func TestGateEdits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, seen := gated(t, func(_ context.Context, e *Event) bool {
			if len(e.Segment.Payload) > 0 {
				e.Segment.Flags = stack.RST
				e.Segment.Payload = nil // does not count
			}
			return true
		})
		fmt.Fprint(c, "hello")
		if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer read: %v", err)
		}
		synctest.Wait()
		seen.expect(t, "> SYN", "< SYN,ACK", "> ACK", `> RST "hello", edited`)
	})
}

// An abort does not wait for the gate, and its RST has the number that the peer
// expects, not one behind what was held.
func TestGateAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		c, peer, seen := gated(t, func(ctx context.Context, e *Event) bool {
			if len(e.Segment.Payload) > 0 {
				<-ctx.Done()
				close(done)
			}
			return true
		})
		fmt.Fprint(c, "hello")
		c.Abort()
		synctest.Wait()
		select {
		case <-done:
		default:
			t.Error("the gate is still asked")
		}
		if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer read: %v", err)
		}
		synctest.Wait()
		seen.expect(t, "> SYN", "< SYN,ACK", "> ACK", "> RST,ACK")
	})
}

// The last ACK is before the gate, and the connection has to go: who waits for its end
// does not wait for the gate.
func TestWaitForWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, _ := gated(t, func(ctx context.Context, e *Event) bool {
			if e.State == stack.StateTimeWait {
				<-ctx.Done()
			}
			return true
		})
		c.Close()
		io.ReadAll(peer)
		peer.Close()
		waited := make(chan error, 1)
		go func() { waited <- c.Wait(context.Background()) }()
		time.Sleep(time.Second)
		c.host.mu.Lock()
		if c.held == nil {
			t.Error("the last ACK is not held")
		}
		c.host.remove(c)
		c.host.mu.Unlock()
		synctest.Wait()
		returned(t, waited, "it still waits")
	})
}
