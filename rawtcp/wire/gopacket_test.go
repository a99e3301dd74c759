package wire_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"pgregory.net/rapid"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// gopacket is the independent judge: it decodes what we write and comes to the
// same bytes and checksums when it writes them.

var fixAll = gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}

func TestGopacketReadsOurs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPacket(t)
		ours, err := wire.AppendHeaders(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, p.Payload...)

		first := layers.LayerTypeIPv4
		if p.Src.Is6() {
			first = layers.LayerTypeIPv6
		}
		decoded := gopacket.NewPacket(ours, first, gopacket.Default)
		if e := decoded.ErrorLayer(); e != nil {
			t.Fatal(e.Error())
		}
		tcp := decoded.TransportLayer().(*layers.TCP)
		if tcp.Seq != uint32(p.Seq) || !bytes.Equal(tcp.Payload, p.Payload) {
			t.Fatalf("gopacket reads Seq %d and payload %x of\n%+v", tcp.Seq, tcp.Payload, p)
		}
		if theirs := serialize(t, decoded.NetworkLayer(), tcp, p.Payload); !bytes.Equal(ours, theirs) {
			t.Fatalf("ours\n%x, gopacket's\n%x", ours, theirs)
		}
	})
}

func TestWeReadGopackets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyPacket(t)
		ip, tcp := gopacketLayers(want)
		var got wire.Packet
		if err := wire.Parse(serialize(t, ip, tcp, want.Payload), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*want, got, sameFields); diff != "" {
			t.Fatal(diff)
		}
		if got.Checksum != stack.ChecksumValid {
			t.Fatal("checksum", got.Checksum)
		}
	})
}

func serialize(t rapid.TB, ip gopacket.NetworkLayer, tcp *layers.TCP, payload []byte) []byte {
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, fixAll, ip.(gopacket.SerializableLayer), tcp, gopacket.Payload(payload)); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// gopacketLayers is p as gopacket would have it.
func gopacketLayers(p *wire.Packet) (gopacket.NetworkLayer, *layers.TCP) {
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(p.SrcPort), DstPort: layers.TCPPort(p.DstPort),
		Seq: uint32(p.Seq), Ack: uint32(p.Ack), Window: p.Window, Urgent: p.Urgent,
		FIN: p.Flags.Has(stack.FIN), SYN: p.Flags.Has(stack.SYN), RST: p.Flags.Has(stack.RST), PSH: p.Flags.Has(stack.PSH),
		ACK: p.Flags.Has(stack.ACK), URG: p.Flags.Has(stack.URG), ECE: p.Flags.Has(stack.ECE), CWR: p.Flags.Has(stack.CWR),
	}
	option := func(kind layers.TCPOptionKind, data []byte) {
		tcp.Options = append(tcp.Options, layers.TCPOption{OptionType: kind, OptionLength: uint8(2 + len(data)), OptionData: data})
	}
	be := binary.BigEndian
	o := &p.Options // in another order than ours, and unaligned
	if o.UserTimeout != 0 {
		option(28, be.AppendUint16(nil, o.UserTimeout))
	}
	if o.SACKCount > 0 {
		var data []byte
		for _, b := range o.Blocks() {
			data = be.AppendUint32(be.AppendUint32(data, uint32(b.Left)), uint32(b.Right))
		}
		option(layers.TCPOptionKindSACK, data)
	}
	if o.HasWindowScale {
		option(layers.TCPOptionKindWindowScale, []byte{o.WindowScale})
	}
	if o.HasTimestamps {
		option(layers.TCPOptionKindTimestamps, be.AppendUint32(be.AppendUint32(nil, o.TSVal), o.TSEcr))
	}
	if o.SACKPermitted {
		option(layers.TCPOptionKindSACKPermitted, nil)
	}
	if o.MSS != 0 {
		option(layers.TCPOptionKindMSS, be.AppendUint16(nil, o.MSS))
	}
	if p.Src.Is6() {
		return &layers.IPv6{
			Version: 6, TrafficClass: p.TOS | uint8(p.ECN), FlowLabel: p.FlowLabel, HopLimit: p.TTL,
			NextHeader: layers.IPProtocolTCP, SrcIP: p.Src.AsSlice(), DstIP: p.Dst.AsSlice(),
		}, tcp
	}
	ip := &layers.IPv4{
		Version: 4, TOS: p.TOS | uint8(p.ECN), TTL: p.TTL, Id: p.ID,
		Protocol: layers.IPProtocolTCP, SrcIP: p.Src.AsSlice(), DstIP: p.Dst.AsSlice(),
	}
	if p.DF {
		ip.Flags = layers.IPv4DontFragment
	}
	return ip, tcp
}

func benchmarkSegment(size int) *wire.Packet {
	p := articleSYN()
	p.Flags, p.Payload = stack.ACK, make([]byte, size)
	p.Options = stack.Options{HasTimestamps: true, TSVal: 1, TSEcr: 2}
	return p
}

// The payload stays where it is here, and gopacket must copy it: that is the point.
func BenchmarkEncode(b *testing.B) {
	p := benchmarkSegment(1448)
	b.Run("wire", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 100)
		for b.Loop() {
			p.Seq++
			if _, err := wire.AppendHeaders(buf, p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("wire, copying", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 1500)
		for b.Loop() {
			p.Seq++
			out, err := wire.AppendHeaders(buf, p)
			if err != nil {
				b.Fatal(err)
			}
			buf = append(out, p.Payload...)[:0]
		}
	})
	b.Run("gopacket, reused", func(b *testing.B) {
		b.ReportAllocs()
		ip, tcp := gopacketLayers(p)
		if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
			b.Fatal(err)
		}
		buf := gopacket.NewSerializeBuffer()
		all := []gopacket.SerializableLayer{ip.(*layers.IPv4), tcp, gopacket.Payload(p.Payload)}
		for b.Loop() {
			tcp.Seq++
			if err := gopacket.SerializeLayers(buf, fixAll, all...); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Ours checks the checksum, gopacket's does not.
func BenchmarkParse(b *testing.B) {
	packet := encode(b, benchmarkSegment(1448))
	b.Run("wire", func(b *testing.B) {
		b.ReportAllocs()
		var p wire.Packet
		for b.Loop() {
			if err := wire.Parse(packet, &p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gopacket, reused", func(b *testing.B) {
		b.ReportAllocs()
		var ip layers.IPv4
		var tcp layers.TCP
		var payload gopacket.Payload
		parser := gopacket.NewDecodingLayerParser(layers.LayerTypeIPv4, &ip, &tcp, &payload)
		var decoded []gopacket.LayerType
		for b.Loop() {
			if err := parser.DecodeLayers(packet, &decoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
