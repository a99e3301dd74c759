package capture_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rawnc/pcapout"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// Conversations that no TCP would hold: every number, flag and time is drawn at
// random, but near to those before, so that each of Wireshark's rules is met.
func TestAgreesWithWiresharkOnNonsense(t *testing.T) {
	for seed := range uint64(4) {
		file := filepath.Join(t.TempDir(), "random.pcapng")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		w, err := pcapout.NewWriter(f, pcapout.PCAPNG, pcapout.Meta{})
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		now := time.Unix(1_700_000_000, 0)
		for port := range uint16(60) {
			nonsense(t, random, w, 10_000+port, &now)
		}
		if err := errors.Join(w.Close(0), f.Close()); err != nil {
			t.Fatal(err)
		}
		agrees(t, file)
	}
}

// nonsense writes a conversation of the client's port.
func nonsense(t *testing.T, random *rand.Rand, w *pcapout.Writer, port uint16, now *time.Time) {
	type end struct {
		addr        netip.AddrPort
		first, next stack.Seq
		window      uint16
		scale       uint8
	}
	isn := func() stack.Seq { return stack.Seq(random.Uint32()) }
	client := &end{addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), first: isn(), window: 500}
	server := &end{addr: netip.MustParseAddrPort("192.0.2.2:9"), first: isn(), window: 500}
	client.scale, server.scale = uint8(random.IntN(3)), uint8(random.IntN(3))
	client.next, server.next = client.first, server.first
	scaled := random.IntN(3) > 0
	send := func(from, to *end, flags stack.Flags, back int, payload int) {
		*now = now.Add([]time.Duration{10 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 50 * time.Millisecond, time.Second}[random.IntN(5)])
		p := wire.Packet{Src: from.addr.Addr(), Dst: to.addr.Addr(), TTL: 64}
		p.SrcPort, p.DstPort = from.addr.Port(), to.addr.Port()
		// Below its first number Wireshark does not count right.
		back = min(back, from.next.Sub(from.first))
		p.Seq, p.Flags, p.Window, p.Payload = from.next.Add(-back), flags, from.window, make([]byte, payload)
		if flags.Has(stack.ACK) {
			p.Ack = to.next
			if random.IntN(4) == 0 {
				p.Ack = to.next.Add(random.IntN(12) - 8)
			}
			if random.IntN(6) == 0 {
				p.Options.SACKCount = 1 + random.IntN(4)
				for i := range p.Options.SACKCount {
					left := p.Ack.Add(random.IntN(8))
					p.Options.SACK[i] = stack.SACKBlock{Left: left, Right: left.Add(random.IntN(5))}
				}
			}
		}
		if flags.Has(stack.SYN) && scaled {
			p.Options.HasWindowScale, p.Options.WindowScale = true, from.scale
		}
		if next := p.Next(); from.next.Less(next) {
			from.next = next
		}
		packet, err := wire.AppendHeaders(nil, &p)
		if err == nil {
			err = w.WritePacket(pcapout.Packet{Time: *now, Data: append(packet, p.Payload...)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if random.IntN(4) > 0 {
		send(client, server, stack.SYN, 0, 0)
		if random.IntN(8) > 0 {
			send(server, client, stack.SYN|stack.ACK, 0, 0)
		}
		if random.IntN(8) > 0 {
			send(client, server, stack.ACK, 0, 0)
		}
	}
	for range 10 + random.IntN(60) {
		from, to := client, server
		if random.IntN(2) == 0 {
			from, to = to, from
		}
		if random.IntN(12) == 0 {
			from.window = uint16([]int{0, 0, 1, 4, 500}[random.IntN(5)])
		}
		flags := stack.ACK
		switch random.IntN(40) {
		case 0:
			flags = stack.SYN
		case 1, 2:
			flags |= stack.FIN
		case 3:
			flags |= stack.RST
		case 4:
			flags = stack.RST
		}
		back := 0
		switch random.IntN(6) {
		case 0:
			back = 1
		case 1:
			back = random.IntN(12) - 4
		}
		if flags == stack.SYN && random.IntN(2) == 0 { // another initial sequence number
			back = int(random.Uint32() >> 1)
			from.next = from.next.Add(-back)
			from.first, back = from.next, 0
		}
		send(from, to, flags, back, []int{0, 0, 0, 1, 1, 4, 8}[random.IntN(7)])
	}
}
