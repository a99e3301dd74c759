package rawtcp

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack/fault"
)

// Faults is what goes wrong with packets in one direction. Each of the four
// happens to a packet with its own probability, from 0 to 1.
type Faults struct {
	Drop      float64 // it vanishes
	Duplicate float64 // it comes twice
	Reorder   float64 // it is held back until three others have passed, or for 5 ms
	Corrupt   float64 // one bit behind the IP header is flipped
	// Rules, if not nil, say besides what becomes of which segment: those of
	// fault.Client of what goes out, those of fault.Server of what comes in.
	Rules *fault.Rules
	// Hit, if not nil, is told of each packet that is dropped, corrupted or
	// copied: of one that goes out when WriteBatch takes it, as it was before; of
	// one that comes in when ReadBatch comes to it, and of a copy by itself. It
	// must be quick, keeps nothing of the packet, and may not use the link.
	Hit func(pkt []byte, f fault.Fate)
	// Seed decides which packets are hit: the same seed gives the same packets
	// the same fate.
	Seed uint64
}

const (
	reorderPackets = 3
	reorderTime    = 5 * time.Millisecond // when nothing follows
)

// WithFaults returns l with faults in the packets that go out and come in. It
// closes l with itself. Only its own ReadBatch may be called from then on.
func WithFaults(l Link, out, in Faults) Link {
	f := &faultLink{Link: l}
	f.out = newLane(out, func(p Outgoing, hit fault.Fate) error {
		if hit.Drop {
			return nil
		}
		_, err := l.WriteBatch([]Outgoing{p})
		return err
	})
	f.in = newLane(in, func(p Outgoing, hit fault.Fate) error {
		f.arrived = append(f.arrived, arrival{p.Header, hit})
		l.Wake() // or nobody may look before the next packet
		return nil
	})
	f.in.side = fault.Server
	return f
}

// A faultLink is a link with faults.
type faultLink struct {
	Link
	out, in *lane
	arrived []arrival // what has passed and waits to be read; in.mu guards it
}

// An arrival is a packet that has come in, and what hit it.
type arrival struct {
	packet []byte
	hit    fault.Fate
}

func (f *faultLink) ReadBatch(bufs [][]byte) (int, error) {
	n, err := f.Link.ReadBatch(bufs)
	for _, b := range bufs[:n] {
		f.in.pass(Outgoing{Header: slices.Clone(b)})
	}
	if err != nil {
		return 0, err
	}
	return f.deliver(bufs), nil
}

// deliver reads what has passed. A packet that was hit begins a batch of its own:
// when Hit is told of it, those before it have been dealt with.
func (f *faultLink) deliver(bufs [][]byte) (n int) {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	for i, a := range f.arrived {
		hit := a.hit != fault.Fate{}
		if n == len(bufs) || hit && n > 0 {
			f.arrived = f.arrived[i:]
			f.Link.Wake()
			return n
		}
		if hit && f.in.faults.Hit != nil {
			f.in.faults.Hit(a.packet, a.hit)
		}
		if !a.hit.Drop {
			buf := bufs[n][:cap(bufs[n])]
			bufs[n] = buf[:copy(buf, a.packet)]
			n++
		}
	}
	f.arrived = nil
	return n
}

func (f *faultLink) WriteBatch(pkts []Outgoing) (int, error) {
	for i, p := range pkts {
		hit, err := f.out.pass(Outgoing{Dst: p.Dst, Header: slices.Concat(p.Header, p.Payload)})
		if err != nil {
			return i, err
		}
		if hit != (fault.Fate{}) && f.out.faults.Hit != nil {
			f.out.faults.Hit(slices.Concat(p.Header, p.Payload), hit)
		}
	}
	return len(pkts), nil
}

// Route is the link's, without Offload: faults are for the packets on the wire.
func (f *faultLink) Route(dst netip.Addr) (Route, error) {
	route, err := f.Link.Route(dst)
	route.Offload = 0
	return route, err
}

// A lane is one direction of a link with faults. Its packets are whole: all in
// Header.
type lane struct {
	side   fault.Side
	faults Faults
	send   func(Outgoing, fault.Fate) error // also what is dropped

	mu     sync.Mutex
	random *rand.Rand
	held   []*heldPacket // the oldest first
}

type heldPacket struct {
	Outgoing
	hit  fault.Fate
	wait int // for how many more packets
}

func newLane(f Faults, send func(Outgoing, fault.Fate) error) *lane {
	return &lane{faults: f, send: send, random: rand.New(rand.NewPCG(f.Seed, 0))}
}

// A fate is what becomes of a packet.
type fate struct {
	fault.Fate
	reorder bool
	bit     uint64 // which one to flip, modulo their number
}

// fate draws the fate of the next packet. It always takes the same number of
// random numbers, so that no packet's fate depends on those before.
func (l *lane) fate() (f fate) {
	f.Drop = l.random.Float64() < l.faults.Drop
	if l.random.Float64() < l.faults.Duplicate {
		f.Copies = 1
	}
	f.reorder = l.random.Float64() < l.faults.Reorder
	f.Corrupt = l.random.Float64() < l.faults.Corrupt
	f.bit = l.random.Uint64()
	return f
}

// judge adds what the rules say of a packet.
func (l *lane) judge(pkt []byte, f *fate) {
	var p wire.Packet
	if l.faults.Rules == nil || wire.Parse(pkt, &p) != nil {
		return
	}
	said := l.faults.Rules.Fate(l.side, &p.Segment, l.random.Float64)
	f.Drop = f.Drop || said.Drop
	f.Copies = min(f.Copies+said.Copies, 1)
	f.Corrupt = f.Corrupt || said.Corrupt
	f.Mark, f.Delay = said.Mark, said.Delay
}

// pass sends a packet on its way, and tells what hits it. The error is that of
// sending it, or nil where it is not sent now.
func (l *lane) pass(p Outgoing) (hit fault.Fate, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fate := l.fate()
	l.judge(p.Header, &fate)
	if fate.Drop {
		hit = fault.Fate{Drop: true}
		return hit, l.send(p, hit)
	}
	if fate.Mark {
		wire.Mark(p.Header)
	}
	if fate.Corrupt {
		wire.FinishChecksum(p.Header) // or nobody could tell, as on a loopback
		flip(p.Header, fate.bit)
	}
	each := func(send func(Outgoing, fault.Fate) error) error {
		err := send(p, fault.Fate{Corrupt: fate.Corrupt})
		if fate.Copies > 0 {
			send(p, fault.Fate{Corrupt: fate.Corrupt, Copies: 1})
		}
		return err
	}
	switch {
	case fate.Delay > 0:
		time.AfterFunc(fate.Delay, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			each(l.send)
		})
	case fate.reorder:
		each(l.hold)
	default:
		err = each(l.send)
		l.passed()
	}
	return fault.Fate{Corrupt: fate.Corrupt, Copies: fate.Copies}, err
}

// hold keeps a packet back.
func (l *lane) hold(p Outgoing, hit fault.Fate) error {
	h := &heldPacket{p, hit, reorderPackets}
	l.held = append(l.held, h)
	time.AfterFunc(reorderTime, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.Index(l.held, h); i >= 0 {
			l.held = slices.Delete(l.held, i, i+1)
			l.send(h.Outgoing, h.hit)
		}
	})
	return nil
}

// passed counts a packet that has passed those held back.
func (l *lane) passed() {
	for _, h := range l.held {
		h.wait--
	}
	for len(l.held) > 0 && l.held[0].wait <= 0 {
		l.send(l.held[0].Outgoing, l.held[0].hit)
		l.held = slices.Delete(l.held, 0, 1)
	}
}

// flip flips one bit of an IP packet behind its header.
func flip(pkt []byte, bit uint64) {
	header := 40 // of IPv6
	if len(pkt) > 0 && pkt[0]>>4 == 4 {
		header = 4 * int(pkt[0]&0xf)
	}
	if body := pkt[min(header, len(pkt)):]; len(body) > 0 {
		bit %= 8 * uint64(len(body))
		body[bit/8] ^= 1 << (bit % 8)
	}
}
