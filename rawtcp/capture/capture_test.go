package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"rawnc/pcapout"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

var start = time.Date(2020, 5, 1, 12, 0, 0, 123456789, time.UTC)

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// segment is an IP packet with a SYN that carries the payload.
func segment(src, dst, payload string) []byte {
	p := wire.Packet{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), TTL: 64}
	p.Segment = stack.Segment{SrcPort: 1000, DstPort: 80, Seq: 7, Flags: stack.SYN, Payload: []byte(payload)}
	b, err := wire.AppendHeaders(nil, &p)
	if err != nil {
		panic(err)
	}
	return append(b, payload...)
}

func segment4() []byte { return segment("10.0.0.1", "10.0.0.2", "hello") }
func segment6() []byte { return segment("2001:db8::1", "2001:db8::2", "hello") }

// pcapFile is a classic pcap, one packet a second.
func pcapFile(order byteOrder, magic, linkType uint32, packets ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = order.AppendUint64(b, 0)
	b = order.AppendUint32(b, maxPacket)
	b = order.AppendUint32(b, linkType)
	for i, packet := range packets {
		b = order.AppendUint32(b, uint32(start.Unix()+int64(i)))
		b = order.AppendUint32(b, 5)
		b = order.AppendUint32(b, uint32(len(packet)))
		b = order.AppendUint32(b, uint32(len(packet)))
		b = append(b, packet...)
	}
	return b
}

// block is a block of a pcapng.
func block(order byteOrder, kind uint32, body []byte, options ...[]byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	body = append(body, bytes.Join(options, nil)...)
	length := uint32(len(body) + 12)
	b := order.AppendUint32(nil, kind)
	b = order.AppendUint32(b, length)
	return order.AppendUint32(append(b, body...), length)
}

func option(order byteOrder, code uint16, value string) []byte {
	b := order.AppendUint16(nil, code)
	b = order.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func sectionBlock(order byteOrder) []byte {
	b := order.AppendUint32(nil, 0x1a2b3c4d)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0)
	return block(order, blockSection, order.AppendUint64(b, 1<<64-1))
}

func interfaceBlock(order byteOrder, linkType uint16, options ...[]byte) []byte {
	b := order.AppendUint16(nil, linkType)
	b = order.AppendUint16(b, 0)
	return block(order, blockInterface, order.AppendUint32(b, 0), options...)
}

func packetBlock(order byteOrder, iface uint32, at uint64, packet []byte, options ...[]byte) []byte {
	b := order.AppendUint32(nil, iface)
	b = order.AppendUint32(b, uint32(at>>32))
	b = order.AppendUint32(b, uint32(at))
	b = order.AppendUint32(b, uint32(len(packet)))
	b = order.AppendUint32(b, uint32(len(packet)))
	return block(order, blockEnhanced, append(b, packet...), options...)
}

// readAll reads a capture to its end; the packets' slices are copies.
func readAll(file []byte) ([]Packet, error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	var all []Packet
	for {
		var p Packet
		if err := r.Next(&p); err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		p.Data, p.IP, p.options = slices.Clone(p.Data), slices.Clone(p.IP), slices.Clone(p.options)
		p.TCP.Payload = slices.Clone(p.TCP.Payload)
		all = append(all, p)
	}
}

func TestPcap(t *testing.T) {
	for _, test := range []struct {
		name  string
		order byteOrder
		magic uint32
		ns    int
	}{
		{"microseconds", binary.LittleEndian, 0xa1b2c3d4, 5000},
		{"microseconds, big-endian", binary.BigEndian, 0xa1b2c3d4, 5000},
		{"nanoseconds", binary.LittleEndian, 0xa1b23c4d, 5},
		{"nanoseconds, big-endian", binary.BigEndian, 0xa1b23c4d, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			packets, err := readAll(pcapFile(test.order, test.magic, linkRaw, segment4(), segment6()))
			if err != nil || len(packets) != 2 {
				t.Fatalf("%d packets, %v", len(packets), err)
			}
			p := packets[1]
			if want := time.Unix(start.Unix()+1, int64(test.ns)); !p.Time.Equal(want) {
				t.Errorf("time %v, want %v", p.Time, want)
			}
			if p.Frame != 2 || p.Err != nil || string(p.TCP.Payload) != "hello" || p.TCP.Checksum != stack.ChecksumValid {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestGzip(t *testing.T) {
	var file bytes.Buffer
	z := gzip.NewWriter(&file)
	z.Write(pcapFile(binary.LittleEndian, 0xa1b2c3d4, linkRaw, segment4(), segment4()))
	z.Close()
	if packets, err := readAll(file.Bytes()); err != nil || len(packets) != 2 {
		t.Errorf("%d packets, %v", len(packets), err)
	}
	if _, err := readAll(file.Bytes()[:file.Len()-9]); err != ErrCut {
		t.Errorf("without its end: %v, want %v", err, ErrCut)
	}
}

// The segment is found below every link layer.
func TestLinkTypes(t *testing.T) {
	mac := "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"
	tag := func(kind string) string { return kind + "\x00\x2a" }
	for _, test := range []struct {
		name     string
		linkType uint32
		header   string
		packet   []byte
		want     error
	}{
		{"RAW", 101, "", segment4(), nil},
		{"RAW with IPv6", 101, "", segment6(), nil},
		{"RAW as BSD has it", 12, "", segment4(), nil},
		{"RAW as OpenBSD has it", 14, "", segment6(), nil},
		{"IPv4", 228, "", segment4(), nil},
		{"IPv6", 229, "", segment6(), nil},
		{"Ethernet", 1, mac + "\x08\x00", segment4(), nil},
		{"Ethernet with padding", 1, mac + "\x08\x00", append(segment4(), "\x00\x00\x00"...), nil},
		{"Ethernet with IPv6", 1, mac + "\x86\xdd", segment6(), nil},
		{"Ethernet, whose FCS is in the link type", 0x14000001, mac + "\x08\x00", segment4(), nil},
		{"VLAN", 1, mac + tag("\x81\x00") + "\x08\x00", segment4(), nil},
		{"QinQ", 1, mac + tag("\x88\xa8") + tag("\x81\x00") + "\x86\xdd", segment6(), nil},
		{"QinQ before it had a number", 1, mac + tag("\x91\x00") + tag("\x81\x00") + "\x08\x00", segment4(), nil},
		{"SLL", 113, "\x00\x00\x03\x04\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x08\x00", segment4(), nil},
		{"SLL2", 276, "\x86\xdd\x00\x00\x00\x00\x00\x01\x03\x04\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00", segment6(), nil},
		{"null of a little-endian host", 0, "\x02\x00\x00\x00", segment4(), nil},
		{"null of a big-endian host", 0, "\x00\x00\x00\x1e", segment6(), nil},
		{"loopback", 108, "\x00\x00\x00\x18", segment6(), nil},

		{"ARP", 1, mac + "\x08\x06", segment4(), wire.ErrNotTCP},
		{"AppleTalk on loopback", 0, "\x10\x00\x00\x00", segment4(), wire.ErrNotTCP},
		{"a VLAN tag cut in two", 1, mac + "\x81\x00\x00", nil, wire.ErrTruncated},
		{"a short Ethernet header", 1, "abc", nil, wire.ErrTruncated},
		{"a short loopback header", 0, "abc", nil, wire.ErrTruncated},
		{"nothing at all", 101, "", nil, wire.ErrTruncated},
		{"USB", 189, "", segment4(), ErrLinkType},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := pcapFile(binary.LittleEndian, 0xa1b2c3d4, test.linkType, append([]byte(test.header), test.packet...))
			packets, err := readAll(file)
			if err != nil || len(packets) != 1 {
				t.Fatalf("%d packets, %v", len(packets), err)
			}
			p := packets[0]
			if p.Err != test.want {
				t.Fatalf("%v, want %v", p.Err, test.want)
			}
			if p.Err == nil && string(p.TCP.Payload) != "hello" {
				t.Errorf("the payload is %q", p.TCP.Payload)
			}
		})
	}
}

// What cannot be told as a segment is told apart.
func TestPassedOver(t *testing.T) {
	edit := func(change func(b []byte) []byte) []byte { return change(segment4()) }
	packets, err := readAll(pcapFile(binary.LittleEndian, 0xa1b2c3d4, linkRaw,
		edit(func(b []byte) []byte { b[9] = 17; return b }),
		edit(func(b []byte) []byte { b[6] |= 0x20; return b }),
		edit(func(b []byte) []byte { return b[:30] }),
		edit(func(b []byte) []byte { b[32] = 0x10; return b }),
		edit(func(b []byte) []byte { return b }),
	))
	if err != nil {
		t.Fatal(err)
	}
	want := []error{wire.ErrNotTCP, wire.ErrFragment, wire.ErrTruncated, wire.ErrMalformed, nil}
	for i, p := range packets {
		if p.Err != want[i] {
			t.Errorf("packet %d: %v, want %v", i+1, p.Err, want[i])
		}
	}
}

// A capture may cut packets short, and says so; a packet may claim a length that
// it never had.
func TestCut(t *testing.T) {
	file := pcapFile(binary.LittleEndian, 0xa1b2c3d4, linkRaw, segment4()[:42], segment4()[:42])
	binary.LittleEndian.PutUint32(file[24+12:], 45) // the first was longer on the wire
	packets, err := readAll(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{3, 0} {
		if p := packets[i]; p.Err != nil || p.TCP.Cut != want || p.TCP.Checksum != stack.ChecksumUnknown || p.Length != 42+want {
			t.Errorf("packet %d: cut %d of %d, checksum %v, %v; want %d", i+1, p.TCP.Cut, p.Length, p.TCP.Checksum, p.Err, want)
		}
	}
}

func TestPcapng(t *testing.T) {
	for _, order := range []byteOrder{binary.LittleEndian, binary.BigEndian} {
		t.Run(order.String(), func(t *testing.T) {
			at := uint64(start.UnixNano())
			flags := string(order.AppendUint32(nil, uint32(Out)))
			simple := append(order.AppendUint32(nil, uint32(len(segment4()))), segment4()...)
			old := packetBlock(order, 0, at/1000, segment4())
			order.PutUint32(old, blockOld)
			order.PutUint16(old[8:], 0)
			order.PutUint16(old[10:], 17) // packets dropped
			file := slices.Concat(
				sectionBlock(order),
				interfaceBlock(order, linkRaw, option(order, optName, "eth0")),
				interfaceBlock(order, linkNull, option(order, optTimeResolution, "\x09")),
				interfaceBlock(order, linkRaw, option(order, optTimeResolution, "\x9e"), option(order, optTimeOffset, string(order.AppendUint64(nil, 100)))),
				interfaceBlock(order, linkRaw, option(order, optTimeResolution, "\x0a")),
				packetBlock(order, 0, at/1000, segment4(), option(order, optFlags, flags), option(order, optComment, "one"), option(order, optComment, "two")),
				block(order, 4, []byte("names of hosts, which do not matter")),
				packetBlock(order, 1, at, append([]byte{0, 0, 0, 2}, segment4()...)),
				packetBlock(order, 2, uint64(start.Unix()-100)<<30|1<<29, segment6()), // half a second
				packetBlock(order, 3, uint64(start.Unix())*1e10+987_654_321_0, segment6()),
				block(order, blockSimple, simple),
				old,
				block(order, blockJournal, []byte("MESSAGE=x")),
				sectionBlock(binary.BigEndian), // the interfaces begin anew
				interfaceBlock(binary.BigEndian, linkEthernet),
				packetBlock(binary.BigEndian, 0, at/1000, []byte("no Ethernet")),
			)
			packets, err := readAll(file)
			if err != nil {
				t.Fatal(err)
			}
			type row struct {
				Frame int
				NS    int64
				Link  uint16
				Name  string
				Dir   Direction
				Err   error
			}
			us := start.Truncate(time.Microsecond).UnixNano()
			want := []row{
				{1, us, linkRaw, "eth0", Out, nil},
				{2, start.UnixNano(), linkNull, "", Unknown, nil},
				{3, start.Unix()*1e9 + 5e8, linkRaw, "", Unknown, nil},
				{4, start.Unix()*1e9 + 987_654_321, linkRaw, "", Unknown, nil},
				{5, 0, linkRaw, "eth0", Unknown, nil},
				{6, us, linkRaw, "eth0", Unknown, nil},
				{8, us, linkEthernet, "", Unknown, wire.ErrTruncated}, // 7 is the journal's
			}
			var got []row
			for _, p := range packets {
				got = append(got, row{p.Frame, p.Time.UnixNano(), p.Interface.LinkType, p.Interface.Name, p.Dir, p.Err})
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got := packets[0].Comments(); !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("comments %q", got)
			}
		})
	}
}

// A capture cut anywhere is read up to the cut.
func TestCutAnywhere(t *testing.T) {
	order := binary.LittleEndian
	for name, file := range map[string][]byte{
		"pcap":   pcapFile(order, 0xa1b2c3d4, linkRaw, segment4(), segment4()),
		"pcapng": slices.Concat(sectionBlock(order), interfaceBlock(order, linkRaw), packetBlock(order, 0, 0, segment4()), packetBlock(order, 0, 0, segment4())),
	} {
		record := (len(file) - len(pcapFile(order, 0xa1b2c3d4, linkRaw))) / 2
		if name == "pcapng" {
			record = len(packetBlock(order, 0, 0, segment4()))
		}
		for n := range file {
			packets, err := readAll(file[:n])
			whole, rest := max(0, n-(len(file)-2*record))/record, (len(file)-n)%record
			if len(packets) != whole {
				t.Errorf("%s of %d octets: %d packets, want %d", name, n, len(packets), whole)
			}
			switch {
			case n == 0 && err != ErrFormat, n > 0 && rest != 0 && err != ErrCut && n > len(file)-2*record, rest == 0 && err != nil:
				t.Errorf("%s of %d octets: %v", name, n, err)
			}
		}
	}
}

// Lengths that lead nowhere neither crash the reader nor make it take memory.
func TestHostile(t *testing.T) {
	order := binary.LittleEndian
	record := func(captured, length uint32) []byte {
		b := order.AppendUint64(pcapFile(order, 0xa1b2c3d4, linkRaw), 0)
		return order.AppendUint32(order.AppendUint32(b, captured), length)
	}
	patch := func(b []byte, at int, value uint32) []byte {
		order.PutUint32(b[at:], value)
		return b
	}
	head := slices.Concat(sectionBlock(order), interfaceBlock(order, linkRaw))
	ng := func(blocks ...[]byte) []byte { return slices.Concat(append([][]byte{head}, blocks...)...) }
	for _, test := range []struct {
		name string
		file []byte
		want error
	}{
		{"text", []byte("GET / HTTP/1.1\r\n\r\n, which is no capture at all"), ErrFormat},
		{"a packet of 4 GiB", record(1<<32-1, 1<<32-1), ErrDamaged},
		{"a packet of 256 KiB that is not there", record(maxPacket, maxPacket), ErrCut},
		{"a block of no length", ng(patch(block(order, 77, nil), 4, 0)), ErrDamaged},
		{"a block of 4 GiB", ng(patch(block(order, 77, nil), 4, 1<<32-4)), ErrDamaged},
		{"a block of 1 GiB", ng(patch(block(order, 77, nil), 4, 1<<30)), ErrCut},
		{"a packet of 4 GiB in a block", ng(patch(packetBlock(order, 0, 0, segment4()), 20, 1<<32-1)), ErrDamaged},
		{"a packet larger than its block", ng(patch(packetBlock(order, 0, 0, segment4()), 20, 1000)), ErrDamaged},
		{"a packet's block too short for its head", ng(block(order, blockEnhanced, make([]byte, 16))), ErrDamaged},
		{"an interface too short", slices.Concat(sectionBlock(order), block(order, blockInterface, nil)), ErrDamaged},
		{"a packet of no interface", ng(packetBlock(order, 1, 0, segment4())), ErrDamaged},
		{"a simple packet of no interface", slices.Concat(sectionBlock(order), block(order, blockSimple, make([]byte, 8))), ErrDamaged},
		{"a simple packet of 4 GiB", ng(patch(block(order, blockSimple, make([]byte, 8)), 8, 1<<32-1)), nil},
		{"a clock of 10^-127 s", ng(interfaceBlock(order, linkRaw, option(order, optTimeResolution, "\x7f"))), ErrDamaged},
		{"a clock of 2^-127 s", ng(interfaceBlock(order, linkRaw, option(order, optTimeResolution, "\xff"))), ErrDamaged},
		{"a clock of 2^-63 s", ng(interfaceBlock(order, linkRaw, option(order, optTimeResolution, "\xbf")), packetBlock(order, 1, 1<<63|1<<62, segment4())), nil},
		{"options longer than the block", ng(packetBlock(order, 0, 0, segment4(), order.AppendUint16(order.AppendUint16(nil, 1), 60000))), nil},
		{"interfaces without end", ng(bytes.Repeat(interfaceBlock(order, linkRaw), maxInterfaces)), ErrDamaged},
		{"a section of another version", append(patch(sectionBlock(order), 12, 9), head...), ErrDamaged},
		{"a section without byte order", ng(patch(sectionBlock(order), 8, 0)), ErrDamaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := readAll(test.file)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
				t.Errorf("it took %d octets of memory", took)
			}
		})
	}
}

// A block that is larger than the buffer gives its packet, and the next one too.
func TestLargeBlock(t *testing.T) {
	order := binary.LittleEndian
	var comments [][]byte
	for range 20 {
		comments = append(comments, option(order, optComment, strings.Repeat("x", 60000)))
	}
	packets, err := readAll(slices.Concat(sectionBlock(order), interfaceBlock(order, linkRaw, comments...),
		packetBlock(order, 0, 0, segment4(), comments...), packetBlock(order, 0, 0, segment6())))
	if err != nil || len(packets) != 2 {
		t.Fatalf("%d packets, %v", len(packets), err)
	}
	if packets[0].Err != nil || string(packets[0].TCP.Payload) != "hello" || packets[1].Err != nil {
		t.Errorf("got %+v", packets)
	}
}

// What pcapout writes is read again.
func TestReadsPcapout(t *testing.T) {
	for _, format := range []pcapout.Format{pcapout.PCAP, pcapout.PCAPNG} {
		var file bytes.Buffer
		w, err := pcapout.NewWriter(&file, format, pcapout.Meta{Interface: "rawnc0"})
		if err != nil {
			t.Fatal(err)
		}
		w.WritePacket(pcapout.Packet{Time: start, Dir: pcapout.Out, Data: segment4(), Comments: []string{"a SYN"}})
		w.Close(0)
		packets, err := readAll(file.Bytes())
		if err != nil || len(packets) != 1 {
			t.Fatalf("%d packets, %v", len(packets), err)
		}
		p := packets[0]
		if !p.Time.Equal(start) || !bytes.Equal(p.Data, segment4()) {
			t.Errorf("got %+v", p)
		}
		if format == pcapout.PCAPNG && (p.Dir != Out || !slices.Equal(p.Comments(), []string{"a SYN"}) || p.Interface.Name != "rawnc0") {
			t.Errorf("got %+v with %q", p, p.Comments())
		}
	}
}

// gopacket is the judge: whatever it reads in a file, we read too.
func TestAgreesWithGopacket(t *testing.T) {
	order := binary.LittleEndian
	mac := "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"
	ether := append([]byte(mac+"\x81\x00\x00\x07\x86\xdd"), segment6()...)
	for name, file := range map[string][]byte{
		"pcap":                 pcapFile(order, 0xa1b2c3d4, linkEthernet, ether, ether[:80]),
		"pcap, nanoseconds":    pcapFile(binary.BigEndian, 0xa1b23c4d, linkEthernet, ether),
		"pcapng":               slices.Concat(sectionBlock(order), interfaceBlock(order, linkEthernet), interfaceBlock(order, linkRaw), packetBlock(order, 0, 12345678, ether), packetBlock(order, 1, 1e15+7, segment4())),
		"pcapng, milliseconds": slices.Concat(sectionBlock(order), interfaceBlock(order, linkRaw, option(order, optTimeResolution, "\x03")), packetBlock(order, 0, 1_600_000_000_123, segment4())),
	} {
		t.Run(name, func(t *testing.T) {
			packets, err := readAll(file)
			if err != nil {
				t.Fatal(err)
			}
			type source interface {
				ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
			}
			var judge source
			if strings.HasPrefix(name, "pcapng") {
				judge, err = pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{WantMixedLinkType: true})
			} else {
				judge, err = pcapgo.NewReader(bytes.NewReader(file))
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; ; i++ {
				data, info, err := judge.ReadPacketData()
				if err == io.EOF && i == len(packets) {
					return
				}
				if err != nil || i == len(packets) {
					t.Fatalf("packet %d of %d: %v", i+1, len(packets), err)
				}
				p := packets[i]
				if !bytes.Equal(p.Data, data) || !p.Time.Equal(info.Timestamp) || p.Length != info.Length {
					t.Errorf("packet %d: %v, %d of %d octets; gopacket %v, %d of %d", i+1,
						p.Time, len(p.Data), p.Length, info.Timestamp, len(data), info.Length)
				}
				layer := layers.LinkType(p.Interface.LinkType)
				tcp, ok := gopacket.NewPacket(data, layer, gopacket.Default).Layer(layers.LayerTypeTCP).(*layers.TCP)
				if ok != (p.Err == nil) {
					t.Errorf("packet %d: %v, where gopacket finds TCP is %v", i+1, p.Err, ok)
				} else if ok && (tcp.Seq != uint32(p.TCP.Seq) || !bytes.Equal(tcp.Payload, p.TCP.Payload)) {
					t.Errorf("packet %d: %+v, where gopacket has %+v", i+1, p.TCP, tcp)
				}
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	order := binary.LittleEndian
	f.Add(pcapFile(order, 0xa1b2c3d4, linkEthernet, []byte("0123456789ab\x81\x00\x00\x01\x08\x00"+string(segment4()))))
	f.Add(pcapFile(binary.BigEndian, 0xa1b23c4d, linkSLL2, []byte("\x86\xdd\x00\x00\x00\x00\x00\x01\x03\x04\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00"+string(segment6()))))
	f.Add(slices.Concat(sectionBlock(order), interfaceBlock(order, linkRaw, option(order, optTimeResolution, "\x09")),
		packetBlock(order, 0, 5, segment4(), option(order, optComment, "hello")), block(order, blockSimple, make([]byte, 8))))
	f.Add(slices.Concat(sectionBlock(binary.BigEndian), interfaceBlock(binary.BigEndian, linkNull), packetBlock(binary.BigEndian, 0, 5, segment6())))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(pcapFile(order, 0xa1b2c3d4, linkRaw, segment4()))
	z.Close()
	f.Add(zipped.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		packets, _ := readAll(file)
		for i, p := range packets {
			if p.Frame <= i || len(p.Data) > maxPacket || p.Length < len(p.Data) || len(p.IP) > len(p.Data) {
				t.Errorf("packet %d: %+v", i, p)
			}
			p.Comments()
		}
	})
}

func BenchmarkNext(b *testing.B) {
	packet := append([]byte("0123456789ab\x08\x00"), segment("10.0.0.1", "10.0.0.2", strings.Repeat("x", 700))...)
	for name, file := range map[string][]byte{
		"pcap": pcapFile(binary.LittleEndian, 0xa1b2c3d4, linkEthernet, slices.Repeat([][]byte{packet}, 1000)...),
		"pcapng": slices.Concat(sectionBlock(binary.LittleEndian), interfaceBlock(binary.LittleEndian, linkEthernet),
			bytes.Repeat(packetBlock(binary.LittleEndian, 0, 5, packet), 1000)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var p Packet
			r, _ := NewReader(bytes.NewReader(file))
			for range b.N {
				if r.Next(&p) == io.EOF {
					b.StopTimer()
					r, _ = NewReader(bytes.NewReader(file))
					b.StartTimer()
				}
			}
		})
	}
}
