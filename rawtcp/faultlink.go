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
	f := &faultLink{Link: l, arrived: newQueue(memoryQueue)}
	f.out = newLane(out, func(p Outgoing) error {
		_, err := l.WriteBatch([]Outgoing{p})
		return err
	})
	f.in = newLane(in, func(p Outgoing) error {
		select {
		case f.arrived.packets <- p.Header:
		case <-f.arrived.ended:
		}
		return nil
	})
	f.in.side = fault.Server
	go f.read()
	return f
}

// A faultLink is a link with faults. Packets that come in go through a queue,
// because one that was held back may be due while the link has nothing to read.
type faultLink struct {
	Link
	out, in *lane
	arrived *queue
}

func (f *faultLink) read() {
	bufs := make([][]byte, readBatch)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16)
	}
	for {
		n, err := f.Link.ReadBatch(bufs)
		for _, b := range bufs[:n] {
			f.in.pass(Outgoing{Header: slices.Clone(b)})
		}
		if err != nil {
			f.arrived.end(err)
			return
		}
	}
}

func (f *faultLink) ReadBatch(bufs [][]byte) (int, error) { return f.arrived.ReadBatch(bufs) }

func (f *faultLink) Wake() { f.arrived.Wake() }

func (f *faultLink) WriteBatch(pkts []Outgoing) (int, error) {
	for i, p := range pkts {
		if err := f.out.pass(Outgoing{Dst: p.Dst, Header: slices.Concat(p.Header, p.Payload)}); err != nil {
			return i, err
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

func (f *faultLink) Close() error {
	f.arrived.Close()
	return f.Link.Close()
}

// A lane is one direction of a link with faults. Its packets are whole: all in
// Header.
type lane struct {
	side   fault.Side
	faults Faults
	send   func(Outgoing) error

	mu     sync.Mutex
	random *rand.Rand
	held   []*heldPacket // the oldest first
}

type heldPacket struct {
	Outgoing
	wait int // for how many more packets
}

func newLane(f Faults, send func(Outgoing) error) *lane {
	return &lane{faults: f, send: send, random: rand.New(rand.NewPCG(f.Seed, 0))}
}

// A fate is what becomes of a packet.
type fate struct {
	drop, duplicate, reorder, corrupt bool
	mark                              bool
	bit                               uint64 // which one to flip, modulo their number
	delay                             time.Duration
}

// fate draws the fate of the next packet. It always takes the same number of
// random numbers, so that no packet's fate depends on those before.
func (l *lane) fate() fate {
	return fate{
		drop:      l.random.Float64() < l.faults.Drop,
		duplicate: l.random.Float64() < l.faults.Duplicate,
		reorder:   l.random.Float64() < l.faults.Reorder,
		corrupt:   l.random.Float64() < l.faults.Corrupt,
		bit:       l.random.Uint64(),
	}
}

// judge adds what the rules say of a packet.
func (l *lane) judge(pkt []byte, f *fate) {
	var p wire.Packet
	if l.faults.Rules == nil || wire.Parse(pkt, &p) != nil {
		return
	}
	said := l.faults.Rules.Fate(l.side, &p.Segment, l.random.Float64)
	f.drop = f.drop || said.Drop
	f.duplicate = f.duplicate || said.Copies > 0
	f.corrupt = f.corrupt || said.Corrupt
	f.mark = said.Mark
	f.delay = said.Delay
}

// pass sends a packet on its way. The error is that of sending it, or nil where
// it is not sent now.
func (l *lane) pass(p Outgoing) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	fate := l.fate()
	l.judge(p.Header, &fate)
	if fate.drop {
		return nil
	}
	if fate.mark {
		wire.Mark(p.Header)
	}
	if fate.corrupt {
		wire.FinishChecksum(p.Header) // or nobody could tell, as on a loopback
		flip(p.Header, fate.bit)
	}
	if fate.delay > 0 {
		time.AfterFunc(fate.delay, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.send(p)
			if fate.duplicate {
				l.send(p)
			}
		})
		return nil
	}
	if fate.reorder {
		l.hold(p)
		if fate.duplicate {
			l.hold(p)
		}
		return nil
	}
	err := l.send(p)
	if fate.duplicate {
		l.send(p)
	}
	l.passed()
	return err
}

// hold keeps a packet back.
func (l *lane) hold(p Outgoing) {
	h := &heldPacket{p, reorderPackets}
	l.held = append(l.held, h)
	time.AfterFunc(reorderTime, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.Index(l.held, h); i >= 0 {
			l.held = slices.Delete(l.held, i, i+1)
			l.send(h.Outgoing)
		}
	})
}

// passed counts a packet that has passed those held back.
func (l *lane) passed() {
	for _, h := range l.held {
		h.wait--
	}
	for len(l.held) > 0 && l.held[0].wait <= 0 {
		l.send(l.held[0].Outgoing)
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
