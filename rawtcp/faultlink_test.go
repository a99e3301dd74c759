package rawtcp

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
	"rawnc/stack/fault"
)

// numbered is an IPv4 packet, as far as a link looks at it, with a number.
func numbered(n int) []byte { return fmt.Appendf([]byte("\x45                   "), "%d", n) }

// A road is a lane and what has come to its end.
type road struct {
	*lane
	arrived []string
}

func newRoad(f Faults) *road {
	r := &road{}
	r.lane = newLane(f, func(p Outgoing, hit fault.Fate) error {
		if hit.Drop {
			return nil
		}
		r.arrived = append(r.arrived, string(p.Header[20:]))
		return nil
	})
	return r
}

// drive passes packets with the numbers from first to last.
func (r *road) drive(first, last int) {
	for i := first; i <= last; i++ {
		r.pass(Outgoing{Header: numbered(i)})
	}
}

func (r *road) expect(t *testing.T, want string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := strings.Join(r.arrived, " "); got != want {
		t.Errorf("arrived: %q, want %q", got, want)
	}
}

func TestFaultsDropAndDuplicate(t *testing.T) {
	r := newRoad(Faults{})
	r.drive(1, 2)
	r.faults.Drop = 1
	r.drive(3, 4)
	r.faults = Faults{Duplicate: 1}
	r.drive(5, 6)
	r.expect(t, "1 2 5 5 6 6")
}

func TestFaultsReorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoad(Faults{Reorder: 1})
		r.drive(1, 1)
		r.faults = Faults{}
		r.drive(2, 3)
		r.expect(t, "2 3")
		r.drive(4, 5)
		r.expect(t, "2 3 4 1 5") // three have passed

		r.faults = Faults{Reorder: 1, Duplicate: 1}
		r.drive(6, 6)
		time.Sleep(reorderTime - 1)
		synctest.Wait()
		r.expect(t, "2 3 4 1 5")
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		r.expect(t, "2 3 4 1 5 6 6") // nothing follows, it comes all the same
	})
}

func TestFaultsCorruptOneBitBehindTheIPHeader(t *testing.T) {
	for name, pkt := range map[string][]byte{
		"IPv4 with options": append([]byte{0x46, 23: 0}, make([]byte, 30)...),
		"IPv6":              append([]byte{0x60, 39: 0}, make([]byte, 30)...),
		"no body":           {0x45, 19: 0},
		"no header":         {0x45},
		"nothing":           {},
	} {
		body := max(0, len(pkt)-30)
		hit := map[string]bool{}
		for seed := range uint64(100) {
			var got []byte
			l := newLane(Faults{Corrupt: 1, Seed: seed}, func(p Outgoing, _ fault.Fate) error { got = p.Header; return nil })
			l.pass(Outgoing{Header: slices.Clone(pkt)})
			flipped := 0
			for i := range got {
				flipped += bits.OnesCount8(got[i] ^ pkt[i])
			}
			want := 1
			if len(pkt) <= 20 { // nothing to corrupt
				want, body = 0, len(pkt)
			}
			if len(got) != len(pkt) || flipped != want || !slices.Equal(got[:body], pkt[:body]) {
				t.Errorf("%s, seed %d: %d bits differ, want %d\n%x\n%x", name, seed, flipped, want, pkt, got)
			}
			hit[string(got)] = true
		}
		if len(pkt) > 20 && len(hit) < 50 {
			t.Errorf("%s: only %d different bits were hit by 100 seeds", name, len(hit))
		}
	}
}

func TestFaultsAreDecidedByTheSeed(t *testing.T) {
	arrived := func(seed uint64) []string {
		r := newRoad(Faults{Drop: 0.2, Duplicate: 0.1, Seed: seed})
		r.drive(1, 1000)
		return r.arrived
	}
	one := arrived(1)
	if !slices.Equal(one, arrived(1)) {
		t.Error("the same seed gave different faults")
	}
	if slices.Equal(one, arrived(2)) {
		t.Error("another seed gave the same faults")
	}
	if n := len(one); n < 830 || n > 930 { // 880 in the mean, 14 the standard deviation
		t.Errorf("of 1000 packets arrived %d, where 20 %% are dropped and 10 %% of the others come twice", n)
	}
	// The fate of a packet does not hang on what else happens.
	dropped := func(f Faults) (dropped []bool) {
		l := newLane(f, nil)
		for range 100 {
			dropped = append(dropped, l.fate().Drop)
		}
		return dropped
	}
	if !slices.Equal(dropped(Faults{Drop: 0.3}), dropped(Faults{Drop: 0.3, Duplicate: 0.5, Reorder: 0.5, Corrupt: 0.5})) {
		t.Error("with other faults, other packets are dropped")
	}
}

func TestWithFaultsOnALink(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	open := func(out, in Faults) (faulty, far Link) {
		inner, far := MemoryPair(a, b, 100)
		faulty = WithFaults(inner, out, in)
		t.Cleanup(func() { faulty.Close() })
		return faulty, far
	}
	expect := func(l Link, want ...string) {
		t.Helper()
		for i, pkt := range read(t, l, len(want)) {
			if got := string(pkt[20:]); got != want[i] {
				t.Errorf("read packet %s, want %s", got, want[i])
			}
		}
	}

	faulty, far := open(Faults{Duplicate: 1}, Faults{})
	write(t, faulty, b, numbered(1), numbered(2))
	expect(far, "1", "1", "2", "2")
	write(t, far, a, numbered(3), numbered(4))
	expect(faulty, "3", "4")

	faulty, far = open(Faults{}, Faults{Duplicate: 1, Reorder: 1})
	write(t, faulty, b, numbered(1), numbered(2))
	expect(far, "1", "2")
	write(t, far, a, numbered(3))
	expect(faulty, "3", "3") // though nothing follows

	faulty, far = open(Faults{Drop: 1}, Faults{})
	write(t, faulty, b, numbered(1))
	if n := len(far.(*memory).packets); n != 0 {
		t.Errorf("%d packets arrived, though all are dropped", n)
	}

	faulty, _ = open(Faults{Duplicate: 1}, Faults{})
	small, large := Outgoing{Dst: b, Header: numbered(1)}, Outgoing{Dst: b, Header: make([]byte, 101)}
	if n, err := faulty.WriteBatch([]Outgoing{small, large, small}); n != 1 || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("the second packet is larger than the MTU: took %d, %v", n, err)
	}
}

// Whatever is duplicated and reordered, nothing is lost.
func TestWithFaultsLosesNothingUnasked(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	la, lb := MemoryPair(a, b, 100)
	f := Faults{Duplicate: 0.3, Reorder: 0.3}
	la, lb = WithFaults(la, f, f), WithFaults(lb, f, f)
	const count = 200
	for i := range count {
		write(t, la, b, numbered(i))
	}
	missing := make(map[string]bool)
	for i := range count {
		missing[fmt.Sprint(i)] = true
	}
	for len(missing) > 0 {
		delete(missing, string(read(t, lb, 1)[0][20:]))
	}
	lb.Close()
	la.Close()
}

func TestWithFaultsClose(t *testing.T) {
	for name, end := range map[string]func(faulty, inner Link) error{
		"the decorator": func(faulty, _ Link) error { return faulty.Close() },
		"the link":      func(_, inner Link) error { return inner.Close() },
	} {
		inner, _ := MemoryPair(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), 100)
		faulty := WithFaults(inner, Faults{}, Faults{})
		ended := make(chan error)
		go func() {
			_, err := faulty.ReadBatch(make([][]byte, 1))
			ended <- err
		}()
		end(faulty, inner)
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s is closed: ReadBatch returned %v", name, err)
		}
	}
}

// A rule hits the segments that it names, and each way has its own.
func TestFaultRules(t *testing.T) {
	var rules fault.Rules
	for _, text := range []string{"drop out data 2", "duplicate in data 1", "delay out data 3 by 1ms"} {
		rule, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		rules.Add(rule)
	}
	a, b := MemoryPair(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), 1500)
	faults := Faults{Rules: &rules}
	l := WithFaults(a, faults, faults)
	defer l.Close()
	send := func(from Link, src, dst string, payloads ...string) {
		for i, payload := range payloads {
			p := wire.Packet{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), TTL: 64, Segment: stack.Segment{
				SrcPort: 1, DstPort: 2, Seq: stack.Seq(10 * i), Flags: stack.ACK, Payload: []byte(payload),
			}}
			header, err := wire.AppendHeaders(nil, &p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := from.WriteBatch([]Outgoing{{Dst: p.Dst, Header: header, Payload: p.Payload}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	receive := func(at Link, n int) (got []string) {
		for range n {
			buf := [][]byte{make([]byte, 1500)}
			if _, err := at.ReadBatch(buf); err != nil {
				t.Fatal(err)
			}
			got = append(got, string(buf[0][40:]))
		}
		return got
	}
	send(l, "192.0.2.1", "192.0.2.2", "one", "two", "three")
	if got := receive(b, 2); !slices.Equal(got, []string{"one", "three"}) {
		t.Errorf("out: %q", got)
	}
	send(b, "192.0.2.2", "192.0.2.1", "four", "five")
	if got := receive(l, 3); !slices.Equal(got, []string{"four", "four", "five"}) {
		t.Errorf("in: %q", got)
	}
}

// Whoever asks is told of what was hit, and of what comes in after all that came
// before it was read.
func TestFaultsTellWhatTheyHit(t *testing.T) {
	a, b := MemoryPair(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), 1500)
	var told []string
	faults := func(way string) Faults {
		return Faults{Hit: func(pkt []byte, f fault.Fate) {
			told = append(told, fmt.Sprintf("%s %s: drop %t, corrupt %t, %d copies", way, pkt[20:], f.Drop, f.Corrupt, f.Copies))
		}}
	}
	expect := func(want ...string) {
		t.Helper()
		if d := cmp.Diff(want, told); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		told = nil
	}
	l := WithFaults(a, faults("out"), faults("in")).(*faultLink)
	defer l.Close()
	f := &l.out.faults
	write(t, l, b.(*memory).addr, numbered(1))
	f.Drop = 1
	write(t, l, b.(*memory).addr, numbered(2))
	f.Drop, f.Corrupt, f.Duplicate = 0, 1, 1
	write(t, l, b.(*memory).addr, numbered(3))
	expect("out 2: drop true, corrupt false, 0 copies", "out 3: drop false, corrupt true, 1 copies")

	batch := func() (got []string) {
		bufs := make([][]byte, 8)
		for i := range bufs {
			bufs[i] = make([]byte, 100)
		}
		n, err := l.ReadBatch(bufs)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range bufs[:n] {
			got = append(got, string(p[20:]))
		}
		return got
	}
	l.in.pass(Outgoing{Header: numbered(4)})
	l.in.faults.Drop = 1
	l.in.pass(Outgoing{Header: numbered(5)})
	l.in.faults.Drop, l.in.faults.Duplicate = 0, 1
	l.in.pass(Outgoing{Header: numbered(6)})
	for _, want := range [][]string{{"4"}, {"in 5: drop true, corrupt false, 0 copies", "6"}, {"in 6: drop false, corrupt false, 1 copies", "6"}} {
		read := batch()
		told = append(told, read...)
		expect(want...)
	}
}
