package rawtcp_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// A victim is a connection of ours that a host with raw sockets attacks: a third
// one, in the name of the peer, whose addresses and ports it knows and whose
// segments it does not see; or the peer itself.
type victim struct {
	*testing.T
	*rawtcp.Conn
	peer     net.Conn // the kernel's; nil: the attacker is the peer
	forger   *labtest.Forger
	us, them netip.AddrPort
	began    time.Time
	recent   stack.Options // the true peer's timestamps

	mu       sync.Mutex
	arrived  int                      // forged packets
	verdicts map[stack.Verdict]int    // on them
	sent     map[stack.ReasonKind]int // by us, since it began
}

// forgedTTL tells the forger's packets apart.
const forgedTTL = 77

// attack makes an attack on a connection of its own, which must live on. The
// memory that it costs has a bound, in octets.
func attack(t *testing.T, name string, most int, victim func(*testing.T, bool) *victim, do func(v *victim)) {
	t.Helper()
	for _, v6 := range []bool{false, true} {
		t.Run(name+map[bool]string{false: ", IPv4", true: ", IPv6"}[v6], func(t *testing.T) {
			v := victim(t, v6)
			v.lives() // and both ends know each other's window
			v.begin()
			before := inUse().heap
			do(v)
			grown := inUse().heap - before
			v.mu.Lock()
			t.Logf("%d forged packets in %v, verdicts %v, sent %v, %d octets of memory", v.arrived, time.Since(v.began), v.verdicts, v.sent, grown)
			v.mu.Unlock()
			if grown > most {
				t.Errorf("%d octets of memory more, want at most %d", grown, most)
			}
			v.lives()
		})
	}
}

// connected is the victim of a third host. The peer is a kernel.
func connected(t *testing.T, v6 bool) *victim {
	t.Helper()
	hosts := labtest.NewSwitch(t, 3).Hosts
	v := &victim{T: t, forger: labtest.NewForger(t, hosts[2])}
	v.begin()
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, hosts[0])), Tap: v.tap}
	c, s := open(t, listen(t, hosts[1], hosts[1].Address(v6)), func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
	v.Conn, v.peer = c.(*rawtcp.Conn), s
	v.us, v.them = c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
	return v
}

// accepted is the victim of its peer.
func accepted(t *testing.T, v6 bool) *victim {
	t.Helper()
	pair := labtest.NewPair(t)
	// The attacker's kernel knows nothing of it.
	if err := pair.B.Nft("table inet t { chain c { type filter hook input priority 0; meta l4proto tcp drop; }; }"); err != nil {
		t.Fatal(err)
	}
	v := &victim{T: t, forger: labtest.NewForger(t, pair.B)}
	v.begin()
	isn := make(chan stack.Seq, 1)
	lc := rawtcp.ListenConfig{Host: newHost(t, rawLink(t, pair.A)), Tap: func(e *rawtcp.Event) {
		if e.Sent && e.Segment.Flags.Has(stack.SYN) {
			isn <- e.Segment.Seq
		}
		v.tap(e)
	}}
	l, err := lc.Listen(t.Context(), "tcp", netip.AddrPortFrom(pair.A.Address(v6), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	v.us, v.them = netip.AddrPortFrom(pair.A.Address(v6), 80), netip.AddrPortFrom(pair.B.Address(v6), 1000)
	v.forge(1, func(int) stack.Segment {
		return stack.Segment{Seq: 1<<32 - 2, Flags: stack.SYN, Window: 65535, Options: stack.Options{MSS: 1400, SACKPermitted: true, HasWindowScale: true}}
	})
	v.forge(1, func(int) stack.Segment {
		return stack.Segment{Seq: 1<<32 - 1, Ack: <-isn + 1, Flags: stack.ACK, Window: 65535}
	})
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	v.Conn = c.(*rawtcp.Conn)
	return v
}

// begin forgets what was before the attack.
func (v *victim) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.verdicts, v.sent = make(map[stack.Verdict]int), make(map[stack.ReasonKind]int)
	v.arrived, v.began = 0, time.Now()
}

func (v *victim) tap(e *rawtcp.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	ttl := 8
	if e.Packet != nil && e.Packet[0]>>4 == 6 {
		ttl = 7
	}
	switch {
	case e.Packet == nil:
	case e.Sent:
		v.sent[e.Reason.Kind]++
	case e.Packet[ttl] != forgedTTL:
		o := &e.Segment.Options
		v.recent = stack.Options{HasTimestamps: o.HasTimestamps, TSVal: o.TSVal, TSEcr: o.TSEcr}
	default:
		v.arrived++
		if e.Judgment != nil {
			v.verdicts[e.Judgment.Verdict]++
		}
	}
}

// lives has a few octets go each way, or to us alone.
func (v *victim) lives() {
	v.Helper()
	read := func(from net.Conn) {
		v.Helper()
		from.SetReadDeadline(time.Now().Add(20 * time.Second))
		got := make([]byte, 5)
		if _, err := io.ReadFull(from, got); err != nil || string(got) != "alive" {
			v.Fatalf("%v read %q, %v", from.LocalAddr(), got, err)
		}
		from.SetReadDeadline(time.Time{})
	}
	if v.peer == nil {
		v.forge(1, func(int) stack.Segment { return v.data(0, "alive") })
	} else {
		io.WriteString(v.Conn, "alive")
		read(v.peer)
		io.WriteString(v.peer, "alive")
	}
	read(v.Conn)
}

// data is a segment that the peer might send, so many octets ahead of what it
// sent before.
func (v *victim) data(ahead int, text string) stack.Segment {
	s := v.Snapshot()
	return stack.Segment{Seq: s.RcvNxt.Add(ahead), Ack: s.SndNxt, Flags: stack.ACK, Window: 65535, Payload: []byte(text)}
}

// forge sends segments in the peer's name, and waits until all have arrived.
func (v *victim) forge(count int, segment func(i int) stack.Segment) {
	v.Helper()
	v.forgePackets(count, func(i int) []byte {
		p := wire.Packet{Src: v.them.Addr(), Dst: v.us.Addr(), TTL: forgedTTL, ID: 1, Segment: segment(i)}
		p.SrcPort, p.DstPort = v.them.Port(), v.us.Port()
		b, err := wire.AppendHeaders(nil, &p)
		if err != nil {
			v.Fatal(err)
		}
		return append(b, p.Payload...)
	})
}

func (v *victim) forgePackets(count int, packet func(i int) []byte) {
	v.Helper()
	already := v.count()
	for i := range count {
		v.forger.Send(packet(i))
		if i%256 < 255 && i < count-1 {
			continue // no more on the way than a queue holds
		}
		for start := time.Now(); v.count() < already+i+1; time.Sleep(100 * time.Microsecond) {
			if time.Since(start) > 20*time.Second {
				v.Fatalf("%d packets were sent, %d arrived", i+1, v.count()-already)
			}
		}
	}
}

// count is how many forged packets have arrived, all of them or those with one of
// the verdicts.
func (v *victim) count(verdicts ...stack.Verdict) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(verdicts) == 0 {
		return v.arrived
	}
	for _, verdict := range verdicts {
		n += v.verdicts[verdict]
	}
	return n
}

// saw expects that all forged packets got one of the verdicts, and the first one
// of them at least once.
func (v *victim) saw(verdicts ...stack.Verdict) {
	v.Helper()
	if v.count(verdicts[0]) == 0 || v.count(verdicts...) != v.count() {
		v.Errorf("%d forged packets got the verdicts %v, want %v alone", v.arrived, v.verdicts, verdicts)
	}
}

// answered expects that no more than ten challenges were sent in a second, and
// but for them so many segments for each that was forged.
func (v *victim) answered(each int) {
	v.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	challenges, others := 0, 0
	for why, n := range v.sent {
		switch why {
		case stack.ReasonChallengeACK, stack.ReasonUnacceptableACK:
			challenges += n
		default:
			others += n
		}
	}
	if most := 10 * (int(time.Since(v.began)/time.Second) + 1); challenges > most {
		v.Errorf("%d challenge ACKs, want at most %d", challenges, most)
	}
	if others > each*v.arrived+2 { // the last ACK of what came before, and one of old data
		v.Errorf("%d segments, and no challenges, to %d that were forged: %v", others, v.arrived, v.sent)
	}
}

// TestBlindAttacks: an attacker who cannot see the segments tries all numbers, in
// steps as large as the window.
func TestBlindAttacks(t *testing.T) {
	everywhere := func(v *victim, segment func(at stack.Seq) stack.Segment) {
		s := v.Snapshot()
		steps := int(1<<32/int64(s.RcvWnd)) + 1
		v.forge(steps, func(i int) stack.Segment { return segment(s.RcvNxt.Add(1 + i*s.RcvWnd)) })
	}
	attack(t, "RST", 256<<10, connected, func(v *victim) {
		everywhere(v, func(at stack.Seq) stack.Segment { return stack.Segment{Seq: at, Flags: stack.RST} })
		v.saw(stack.VerdictBlindRST, stack.VerdictOutsideWindow)
		v.answered(0)
	})
	attack(t, "RST,ACK", 256<<10, connected, func(v *victim) {
		everywhere(v, func(at stack.Seq) stack.Segment {
			return stack.Segment{Seq: at, Ack: v.Snapshot().SndNxt, Flags: stack.RST | stack.ACK}
		})
		v.saw(stack.VerdictBlindRST, stack.VerdictOutsideWindow)
		v.answered(0)
	})
	attack(t, "SYN", 256<<10, connected, func(v *victim) {
		everywhere(v, func(at stack.Seq) stack.Segment {
			return stack.Segment{Seq: at, Flags: stack.SYN, Options: stack.Options{MSS: 1460}}
		})
		v.saw(stack.VerdictBlindSYN, stack.VerdictOutsideWindow, stack.VerdictOldData)
		v.answered(0)
	})
	// Without timestamps, which the peers agreed on, all are dropped. So the
	// attacker guesses them too.
	attack(t, "data", 256<<10, connected, func(v *victim) {
		everywhere(v, func(at stack.Seq) stack.Segment {
			return stack.Segment{Seq: at, Ack: v.Snapshot().SndNxt, Flags: stack.ACK | stack.PSH, Payload: []byte("forged")}
		})
		v.saw(stack.VerdictNoTimestamp)
		v.answered(0)
	})
	attack(t, "data with a timestamp", 256<<10, connected, func(v *victim) {
		now := v.timestamps()
		everywhere(v, func(at stack.Seq) stack.Segment {
			return stack.Segment{Seq: at, Ack: v.Snapshot().SndNxt.Add(1 << 30), Flags: stack.ACK | stack.PSH, Payload: []byte("forged"), Options: now}
		})
		v.saw(stack.VerdictBadAck, stack.VerdictOutsideWindow, stack.VerdictOldData)
		// The number is right at last: now the Ack is guessed.
		s := v.Snapshot()
		v.forge(10_000, func(i int) stack.Segment {
			step := int((1<<32 - int64(s.MaxSndWnd) - 2) / 10_000)
			return stack.Segment{Seq: s.RcvNxt, Ack: s.SndNxt.Add(1 + i*step), Flags: stack.ACK | stack.PSH, Payload: []byte("forged"), Options: now}
		})
		v.saw(stack.VerdictBadAck, stack.VerdictOutsideWindow, stack.VerdictOldData)
		v.answered(0)
	})
}

// TestACKStorm: somebody who has guessed all numbers puts octets between two ends,
// and each finds the other's ACKs wrong and says so.
func TestACKStorm(t *testing.T) {
	attack(t, "ACK storm", 256<<10, connected, func(v *victim) {
		for s := v.Snapshot(); s.LastAckSent != s.RcvNxt; s = v.Snapshot() { // the peer has nothing in flight
			time.Sleep(time.Millisecond)
		}
		forged := v.data(0, "alive")
		forged.Options = v.timestamps()
		v.forge(1, func(int) stack.Segment { return forged })
		v.saw(stack.VerdictAccepted)
		time.Sleep(time.Second) // for them to answer each other
		v.answered(2)
		// The peer's own octets come, too late, and both agree again.
		io.WriteString(v.peer, "alive")
		got := make([]byte, 5)
		if _, err := io.ReadFull(v.Conn, got); string(got) != "alive" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

// timestamps are such that PAWS lets them pass.
func (v *victim) timestamps() stack.Options {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.recent
}

// TestHostilePeers: the peer itself does what it can to be a burden.
func TestHostilePeers(t *testing.T) {
	const buffer = 2 << 20 // what a connection sends from
	attack(t, "acknowledges what was never sent", 256<<10, accepted, func(v *victim) {
		v.forge(5000, func(i int) stack.Segment {
			seg := v.data(0, "x")
			seg.Ack = seg.Ack.Add(1 + i*i)
			return seg
		})
		v.saw(stack.VerdictBadAck)
		v.answered(0)
	})
	attack(t, "sends single octets with holes between them", 256<<10, accepted, func(v *victim) {
		v.forge(1<<16, func(i int) stack.Segment { return v.data(1+2*i, "x") })
		v.saw(stack.VerdictOutOfOrder, stack.VerdictTooManyGaps)
		v.answered(1)
		if held := v.Snapshot().Held; held == 0 || held > 1<<10 {
			t.Errorf("%d octets are held", held)
		}
		// What is held is still good when the holes are filled.
		first, rest := v.data(0, "y"), v.data(200, strings.Repeat("y", 1000))
		v.forge(100, func(i int) stack.Segment {
			filling := first
			filling.Seq = first.Seq.Add(2 * i)
			return filling
		})
		v.forge(1, func(int) stack.Segment { return rest })
		got := make([]byte, 1200)
		if _, err := io.ReadFull(v.Conn, got); err != nil || strings.Count(string(got[:200]), "yx") != 100 {
			t.Errorf("read %q, %v", got, err)
		}
	})
	attack(t, "sends a single octet far ahead", 64<<10, accepted, func(v *victim) {
		v.forge(1, func(int) stack.Segment { return v.data(v.Snapshot().RcvWnd-1, "x") })
		v.saw(stack.VerdictOutOfOrder, stack.VerdictTooManyGaps)
	})
	attack(t, "sends the same octets with other content", 256<<10, accepted, func(v *victim) {
		for _, s := range []stack.Segment{v.data(4, "FIRST"), v.data(2, "second"), v.data(7, "third"), v.data(0, "and last")} {
			v.forge(1, func(int) stack.Segment { return s })
		}
		got := make([]byte, 12)
		if _, err := io.ReadFull(v.Conn, got); string(got) != "anseFIRSTird" || err != nil {
			t.Errorf("read %q, %v; what arrived first must stay", got, err)
		}
	})
	attack(t, "shrinks its window", 256<<10, accepted, func(v *victim) {
		const size = 60_000
		if _, err := v.Conn.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		first := v.Snapshot().SndUna
		for acked := first; acked != first.Add(size); time.Sleep(time.Millisecond) {
			s := v.Snapshot()
			if s.Flight == 0 {
				continue
			}
			acked = s.SndUna.Add(min(s.Flight, 4000))
			v.forge(1, func(int) stack.Segment {
				return stack.Segment{Seq: s.RcvNxt, Ack: acked, Flags: stack.ACK, Window: 4000}
			})
		}
	})
	// What the send buffer has outgrown the pool keeps for others.
	const most = 2*buffer + 768<<10
	attack(t, "opens, and never reads", most, connected, func(v *victim) {
		before := inUse().heap
		wrote := make(chan error, 1)
		const size = 16 << 20 // more than both ends hold
		go func() {
			_, err := v.Conn.Write(make([]byte, size))
			wrote <- err
		}()
		for s := v.Snapshot(); s.SndWnd > 0 || s.SendQueue < buffer; s = v.Snapshot() {
			time.Sleep(time.Millisecond)
		}
		if grown := inUse().heap - before; grown > size+most {
			t.Errorf("%d octets of memory for a peer that does not read", grown-size)
		}
		go io.CopyN(io.Discard, v.peer, size)
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	})
}

// TestForgedICMPErrors: whoever knows addresses and ports tries all numbers with
// errors that would end a connection, or have it send tiny packets.
func TestForgedICMPErrors(t *testing.T) {
	attack(t, "ICMP", 256<<10, connected, func(v *victim) {
		before := v.Snapshot()
		const steps = 5000
		v.forgePackets(3*steps, func(i int) []byte {
			quoted := wire.Packet{Src: v.us.Addr(), Dst: v.them.Addr(), TTL: 64, ID: 1, Segment: stack.Segment{
				SrcPort: v.us.Port(), DstPort: v.them.Port(), Seq: before.SndNxt.Add(i / 3 * (1 << 32 / steps)), Flags: stack.ACK,
			}}
			quote, err := wire.AppendHeaders(nil, &quoted)
			if err != nil {
				t.Fatal(err)
			}
			return v.icmp(i%3, quote)
		})
		v.saw(stack.VerdictForgedICMP)
		v.answered(0)
		if after := v.Snapshot(); after.SendMSS != before.SendMSS || after.SoftError != nil {
			t.Errorf("MSS %d, was %d; %v is believed", after.SendMSS, before.SendMSS, after.SoftError)
		}
	})
}

// icmp is an ICMP error about a packet: a soft one, a hard one, or one that says
// that the packet was too big for a path of 68 octets.
func (v *victim) icmp(which int, quote []byte) []byte {
	return icmpError(v.them.Addr(), v.us.Addr(), which, 68, quote)
}

// icmpError is the one of the three that which says, from a host to another.
func icmpError(from, to netip.Addr, which int, mtu uint16, quote []byte) []byte {
	options := gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true}
	buf := gopacket.NewSerializeBuffer()
	var err error
	if to.Is4() {
		m := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable,
			[]uint8{layers.ICMPv4CodeHost, layers.ICMPv4CodePort, layers.ICMPv4CodeFragmentationNeeded}[which])}
		if which == 2 {
			m.Seq = mtu // which stands there
		}
		ip := &layers.IPv4{Version: 4, TTL: forgedTTL, Protocol: layers.IPProtocolICMPv4, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
		err = gopacket.SerializeLayers(buf, options, ip, m, gopacket.Payload(quote))
	} else {
		m := &layers.ICMPv6{TypeCode: []layers.ICMPv6TypeCode{
			layers.CreateICMPv6TypeCode(layers.ICMPv6TypeDestinationUnreachable, layers.ICMPv6CodeAddressUnreachable),
			layers.CreateICMPv6TypeCode(layers.ICMPv6TypeDestinationUnreachable, layers.ICMPv6CodePortUnreachable),
			layers.CreateICMPv6TypeCode(layers.ICMPv6TypePacketTooBig, 0),
		}[which]}
		ip := &layers.IPv6{Version: 6, HopLimit: forgedTTL, NextHeader: layers.IPProtocolICMPv6, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
		m.SetNetworkLayerForChecksum(ip)
		word := binary.BigEndian.AppendUint32(nil, uint32(mtu))
		err = gopacket.SerializeLayers(buf, options, ip, m, gopacket.Payload(append(word, quote...)))
	}
	if err != nil {
		panic(err) // cannot happen: all of it fits
	}
	return buf.Bytes()
}
