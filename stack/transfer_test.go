package stack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"rawnc/stack"
	"rawnc/stack/netsim"
)

// source writes data as there is room and then closes its side; sink collects
// what arrives. Both are an application's two hands.
type hands struct {
	end   *netsim.End
	left  []byte
	got   []byte
	err   error
	close bool
}

func (h *hands) act(now time.Time) {
	if h.end.State() < stack.StateSynSent {
		return
	}
	if len(h.left) > 0 {
		n, err := h.end.Write(now, h.left)
		h.left = h.left[n:]
		if err != nil {
			h.err = err
		}
	}
	if len(h.left) == 0 && h.close && h.end.State().Synchronized() {
		h.end.CloseWrite(now)
	}
	var buf [4096]byte
	for {
		n, err := h.end.Read(now, buf[:])
		h.got = append(h.got, buf[:n]...)
		if err != nil && h.err == nil {
			h.err = err
		}
		if n == 0 {
			return
		}
	}
}

func attach(e *netsim.End, data []byte) *hands {
	h := &hands{end: e, left: bytes.Clone(data), close: true}
	e.App = h.act
	return h
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestTransfer(t *testing.T) {
	const ms = time.Millisecond
	wrap := stack.Config{ISS: 1<<32 - 30000}
	for _, tc := range []struct {
		name     string
		path     netsim.Path
		a, b     stack.Config
		size     int
		slowest  time.Duration
		nothing  bool // nothing may be retransmitted
		sameBoth bool
	}{
		{name: "clean", path: netsim.Path{Delay: 10 * ms}, size: 1 << 20, slowest: 5 * time.Second, nothing: true},
		{name: "loss", path: netsim.Path{Delay: 10 * ms, Loss: 0.02}, size: 1 << 20, slowest: time.Minute},
		{name: "heavy loss", path: netsim.Path{Delay: 10 * ms, Loss: 0.2}, size: 1 << 18, slowest: 20 * time.Minute},
		{name: "loss without SACK", path: netsim.Path{Delay: 10 * ms, Loss: 0.05}, a: stack.Config{NoSACK: true}, size: 1 << 18, slowest: 5 * time.Minute},
		{name: "loss without any option", path: netsim.Path{Delay: 10 * ms, Loss: 0.05},
			a: stack.Config{NoSACK: true, NoTimestamps: true, NoWindowScale: true}, size: 1 << 18, slowest: 10 * time.Minute},
		{name: "duplicates and reordering", path: netsim.Path{Delay: 10 * ms, Duplicate: 0.1, Reorder: 0.2}, size: 1 << 20, slowest: 2 * time.Minute},
		{name: "everything", path: netsim.Path{Delay: 10 * ms, Loss: 0.05, Duplicate: 0.1, Reorder: 0.2}, size: 1 << 18, slowest: 5 * time.Minute},
		{name: "wrap", path: netsim.Path{Delay: 10 * ms, Loss: 0.02}, a: wrap, b: wrap, size: 1 << 18, slowest: time.Minute},
		{name: "narrow", path: netsim.Path{Delay: 10 * ms, Rate: 1 << 20, Queue: 20}, size: 1 << 20, slowest: time.Minute},
		{name: "small buffers", path: netsim.Path{Delay: 10 * ms, Loss: 0.02}, b: stack.Config{ReceiveBuffer: 3000, SendBuffer: 1000}, size: 1 << 17, slowest: 5 * time.Minute},
		{name: "tiny segments", path: netsim.Path{Delay: ms, Loss: 0.02}, b: stack.Config{MSS: 100}, size: 1 << 16, slowest: 5 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(5) {
				n := netsim.New(seed, tc.a, tc.b, tc.path, tc.path)
				up, down := random(1, tc.size), random(2, tc.size/2)
				a, b := attach(n.A, up), attach(n.B, down)
				n.Connect()
				ok := n.RunUntil(tc.slowest, func() bool {
					done := func(s stack.State) bool { return s == stack.StateClosed || s == stack.StateTimeWait }
					return done(n.A.State()) && done(n.B.State())
				})
				if !ok {
					t.Fatalf("seed %d: not done after %v: %v, %v of %v; %v, %v of %v\n%s", seed, tc.slowest,
						n.A.State(), len(a.got), len(down), n.B.State(), len(b.got), len(up), tail(n))
				}
				if !bytes.Equal(b.got, up) || !bytes.Equal(a.got, down) {
					t.Errorf("seed %d: B got %d octets of %d, A got %d of %d, or others", seed, len(b.got), len(up), len(a.got), len(down))
				}
				if !errors.Is(a.err, io.EOF) || !errors.Is(b.err, io.EOF) {
					t.Errorf("seed %d: reading ended with %v and %v, want EOF", seed, a.err, b.err)
				}
				re := n.A.Snapshot().Retransmits + n.B.Snapshot().Retransmits
				if tc.nothing && re > 0 {
					t.Errorf("seed %d: %d retransmissions on a clean path\n%s", seed, re, tail(n))
				}
				t.Logf("seed %d: %v, %d segments, %d retransmitted", seed, n.Now.Sub(netsim.Start), len(n.Log), re)
				inspect(t, n)
			}
		})
	}
}

// inspect checks every segment that was sent: none beyond the peer's window,
// none after a RST.
func inspect(t *testing.T, n *netsim.Network) {
	t.Helper()
	for _, end := range []*netsim.End{n.A, n.B} {
		reset := false
		for _, p := range n.Log {
			if p.From != end {
				continue
			}
			if reset {
				t.Errorf("a segment follows the RST: %v", show(n, p))
			}
			reset = reset || p.Seg.Flags.Has(stack.RST)
		}
	}
}

func tail(n *netsim.Network) string {
	var s string
	for _, p := range n.Log[max(0, len(n.Log)-40):] {
		s += show(n, p) + "\n"
	}
	return s
}

func show(n *netsim.Network, p netsim.Packet) string {
	who := "A"
	if p.From == n.B {
		who = "B"
	}
	s := &p.Seg
	return fmt.Sprintf("%s %v %v seq %d ack %d len %d win %d reason %d/%d lost %v sack %v", who, p.Time.Sub(netsim.Start), s.Flags, s.Seq, s.Ack,
		len(s.Payload), s.Window, p.Reason.Kind, p.Reason.N, p.Lost, s.Options.Blocks())
}
