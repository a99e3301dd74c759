package pcapout_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"pgregory.net/rapid"

	"rawnc/pcapout"
)

var start = time.Unix(1591776000, 123456789)

// segment is an IPv4 packet with a TCP SYN, every checksum right.
var segment = []byte{
	0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x40, 0x00, 0x40, 0x06, 0x26, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2,
	0xc3, 0x50, 0x1f, 0xb1, 0xfb, 0x4c, 0x37, 0x02, 0, 0, 0, 0, 0x50, 0x02, 0xfa, 0xf0, 0x8b, 0x9e, 0, 0,
}

// sample are packets of every kind, with data and comments of every alignment.
var sample = []pcapout.Packet{
	{Time: start, Dir: pcapout.Out, Data: segment, Comments: []string{"Seq 0: the ISN, 4216076034"}},
	{Time: start.Add(time.Nanosecond), Dir: pcapout.In, Data: segment[:39], Comments: []string{"one", "第二条：三次握手"}},
	{Time: start.Add(time.Hour), Data: segment[:38]},
	{Time: start.Add(time.Hour), Dir: pcapout.In, Data: segment[:37], Comments: []string{"", "abc"}},
}

var meta = pcapout.Meta{
	CommandLine: "rawnc connect --lab 120.77.204.248 8113",
	Version:     "rawnc 0.1",
	Hardware:    "amd64",
	OS:          "linux",
	Interface:   "raw",
}

// capture is the file that these packets make, the last of six being dropped.
func capture(t rapid.TB, format pcapout.Format, meta pcapout.Meta, packets []pcapout.Packet) []byte {
	var file bytes.Buffer
	w, err := pcapout.NewWriter(&file, format, meta)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := w.WritePacket(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(6); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// The bytes were put down by hand from the draft.
func TestGolden(t *testing.T) {
	small := []pcapout.Packet{{Time: time.Unix(1, 2), Dir: pcapout.Out, Data: []byte("ABCDE"), Comments: []string{"hi"}}}
	for name, c := range map[string]struct {
		format pcapout.Format
		want   string
	}{
		"pcapng": {pcapout.PCAPNG, `
			0a0d0d0a 30000000 4d3c2b1a 01000000 ffffffffffffffff
				0100 0300 630a7600  0400 0100 76000000
				00000000 30000000
			01000000 20000000 6500 0000 00000400
				0900 0100 09000000
				00000000 20000000
			06000000 3c000000 00000000 00000000 02ca9a3b 05000000 05000000 4142434445000000
				0100 0200 68690000
				0200 0400 02000000
				00000000 3c000000
			05000000 34000000 00000000 00000000 02ca9a3b
				0400 0800 0700000000000000
				0500 0800 0600000000000000
				00000000 34000000`},
		"pcap": {pcapout.PCAP, `
			4d3cb2a1 0200 0400 00000000 00000000 00000400 65000000
			01000000 02000000 05000000 05000000 4142434445`},
	} {
		t.Run(name, func(t *testing.T) {
			got := hex.EncodeToString(capture(t, c.format, pcapout.Meta{CommandLine: "c", Version: "v"}, small))
			if want := strings.Join(strings.Fields(c.want), ""); got != want {
				t.Errorf("got\n%s, want\n%s", got, want)
			}
		})
	}
}

func TestFormatFor(t *testing.T) {
	for name, want := range map[string]pcapout.Format{
		"a.pcap": pcapout.PCAP, "A.PCAP": pcapout.PCAP,
		"a.pcapng": pcapout.PCAPNG, "a": pcapout.PCAPNG, "-": pcapout.PCAPNG, "pcap": pcapout.PCAPNG, "": pcapout.PCAPNG,
	} {
		if got := pcapout.FormatFor(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}

// gopacket reads back what was written, whatever it was.
func TestGopacketReads(t *testing.T) {
	text := rapid.StringN(-1, -1, 500)
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.Custom(func(t *rapid.T) pcapout.Packet {
			size := rapid.IntRange(1, 2000).Draw(t, "size")
			return pcapout.Packet{
				Time:     time.Unix(rapid.Int64Range(0, 9e9).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")),
				Dir:      pcapout.Direction(rapid.IntRange(0, 2).Draw(t, "direction")),
				Data:     rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "data"),
				Comments: rapid.SliceOfN(text, 0, 3).Draw(t, "comments"),
			}
		})).Draw(t, "packets")
		meta := pcapout.Meta{
			Version: text.Draw(t, "version"), Hardware: text.Draw(t, "hardware"), OS: text.Draw(t, "OS"),
			Interface: text.Draw(t, "interface"), LinkType: rapid.Uint16Range(1, 255).Draw(t, "link type"),
		}
		var stats pcapgo.NgInterfaceStatistics
		r, err := pcapgo.NewNgReader(bytes.NewReader(capture(t, pcapout.PCAPNG, meta, want)), pcapgo.NgReaderOptions{
			StatisticsCallback: func(_ int, s pcapgo.NgInterfaceStatistics) { stats = s },
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range want {
			data, info, err := r.ReadPacketData()
			if err != nil {
				t.Fatal(i, err)
			}
			if !bytes.Equal(data, p.Data) || info.Length != len(p.Data) || !info.Timestamp.Equal(p.Time) {
				t.Fatalf("packet %d is %x, %+v, want %+v", i, data, info, p)
			}
		}
		if _, _, err := r.ReadPacketData(); err != io.EOF {
			t.Fatal(err)
		}
		if stats.PacketsReceived != uint64(len(want))+6 || stats.PacketsDropped != 6 {
			t.Fatalf("%+v", stats)
		}
		section, intf := r.SectionInfo(), firstInterface(t, r)
		got := pcapout.Meta{
			Version: section.Application, Hardware: section.Hardware, OS: section.OS,
			Interface: intf.Name, LinkType: uint16(intf.LinkType),
		}
		if diff := cmp.Diff(meta, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func firstInterface(t rapid.TB, r *pcapgo.NgReader) pcapgo.NgInterface {
	intf, err := r.Interface(0)
	if err != nil {
		t.Fatal(err)
	}
	return intf
}

func TestGopacketReadsClassic(t *testing.T) {
	r, err := pcapgo.NewReader(bytes.NewReader(capture(t, pcapout.PCAP, meta, sample)))
	if err != nil {
		t.Fatal(err)
	}
	if r.LinkType() != layers.LinkTypeRaw {
		t.Error("link type", r.LinkType())
	}
	for i, p := range sample {
		data, info, err := r.ReadPacketData()
		if err != nil || !bytes.Equal(data, p.Data) || !info.Timestamp.Equal(p.Time) {
			t.Errorf("packet %d is %x, %+v, %v, want %+v", i, data, info, err, p)
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Error(err)
	}
}

func TestWhatACaptureCannotHold(t *testing.T) {
	for name, c := range map[string]struct {
		format  pcapout.Format
		packet  pcapout.Packet
		refused bool
	}{
		"before 1970":         {pcapout.PCAPNG, pcapout.Packet{}, true},
		"the year 2554":       {pcapout.PCAPNG, pcapout.Packet{Time: time.Date(2554, 1, 1, 0, 0, 0, 0, time.UTC)}, false},
		"the year 2555":       {pcapout.PCAPNG, pcapout.Packet{Time: time.Date(2555, 1, 1, 0, 0, 0, 0, time.UTC)}, true},
		"classic, year 2106":  {pcapout.PCAP, pcapout.Packet{Time: time.Date(2106, 1, 1, 0, 0, 0, 0, time.UTC)}, false},
		"classic, year 2107":  {pcapout.PCAP, pcapout.Packet{Time: time.Date(2107, 1, 1, 0, 0, 0, 0, time.UTC)}, true},
		"the longest packet":  {pcapout.PCAPNG, pcapout.Packet{Time: start, Data: make([]byte, 262144)}, false},
		"longer than longest": {pcapout.PCAPNG, pcapout.Packet{Time: start, Data: make([]byte, 262145)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := pcapout.NewWriter(io.Discard, c.format, meta)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.WritePacket(c.packet); (err != nil) != c.refused {
				t.Error(err)
			}
			if err := w.WritePacket(sample[0]); err != nil {
				t.Errorf("the next packet: %v", err)
			}
		})
	}
}

// writes keeps what each Write brought, up to a size at which it is full.
type writes struct {
	each [][]byte
	room int
	err  error
}

func (w *writes) Write(b []byte) (int, error) {
	n := min(len(b), w.room)
	w.room -= n
	w.each = append(w.each, bytes.Clone(b[:n]))
	if n < len(b) {
		return n, w.err
	}
	return n, nil
}

// A flush is one Write of whole records; nothing leaves before it.
func TestFlush(t *testing.T) {
	file := &writes{room: 1 << 20}
	w, err := pcapout.NewWriter(file, pcapout.PCAPNG, meta)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_ = w.WritePacket(sample[0])
		_ = w.WritePacket(sample[1])
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil { // nothing waits
		t.Fatal(err)
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	if len(file.each) != 1+3+1 {
		t.Errorf("%d writes, want the header, three times two packets, the statistics", len(file.each))
	}
	if err := w.WritePacket(sample[0]); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Wherever the disk is full, the error comes back then and ever after, and what
// is on it ends at that very octet.
func TestFullDisk(t *testing.T) {
	whole := capture(t, pcapout.PCAPNG, meta, sample)
	for room := range whole {
		for _, full := range []error{syscall.ENOSPC, nil} { // nil: a writer that breaks its word
			file := &writes{room: room, err: full}
			want := full
			if want == nil {
				want = io.ErrShortWrite
			}
			w, err := pcapout.NewWriter(file, pcapout.PCAPNG, meta)
			for i := 0; err == nil && i < len(sample); i++ {
				if err = w.WritePacket(sample[i]); err == nil {
					err = w.Flush()
				}
			}
			if err == nil {
				err = w.Close(6)
			}
			if !errors.Is(err, want) {
				t.Fatalf("room for %d octets: got %v, want %v", room, err, want)
			}
			if w != nil {
				for name, err := range map[string]error{"WritePacket": w.WritePacket(sample[0]), "Flush": w.Flush(), "Close": w.Close(0)} {
					if !errors.Is(err, want) {
						t.Fatalf("room for %d octets, then %s: %v", room, name, err)
					}
				}
			}
			if got := bytes.Join(file.each, nil); !bytes.Equal(got, whole[:room]) {
				t.Fatalf("room for %d octets: %d written", room, len(got))
			}
		}
	}
}

// smallDisk is a file on a disk that has little room.
type smallDisk struct {
	*os.File
	room int
}

func (d *smallDisk) Write(b []byte) (int, error) {
	n, err := d.File.Write(b[:min(len(b), d.room)])
	d.room -= n
	if err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

// Of a file, what a full disk leaves is whole packets, whether they came one by
// one or together.
func TestFullDiskLeavesWholePackets(t *testing.T) {
	whole, ends := cuttable(t)
	name := filepath.Join(t.TempDir(), "x.pcapng")
	for room := ends[0]; room < len(whole); room++ {
		for _, oneByOne := range []bool{true, false} {
			file, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			w, err := pcapout.NewWriter(&smallDisk{file, room}, pcapout.PCAPNG, meta)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range sample {
				_ = w.WritePacket(p)
				if oneByOne {
					_ = w.Flush()
				}
			}
			if err := w.Close(6); err != syscall.ENOSPC {
				t.Fatalf("room for %d octets: %v", room, err)
			}
			got, err := os.ReadFile(name)
			if want := whole[:ends[wholePackets(ends, room)]]; err != nil || !bytes.Equal(got, want) {
				t.Errorf("room for %d octets: the file has %d, %v; want %d", room, len(got), err, len(want))
			}
			file.Close()
		}
	}
}

func TestDevFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's /dev/full")
	}
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := pcapout.NewWriter(file, pcapout.PCAPNG, meta); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want no space left on device", err)
	}
}

// A file that ends anywhere gives all its whole packets.
func TestCutAnywhere(t *testing.T) {
	whole, ends := cuttable(t)
	for n := ends[0]; n <= len(whole); n++ {
		r, err := pcapgo.NewNgReader(bytes.NewReader(whole[:n]), pcapgo.DefaultNgReaderOptions)
		if err != nil {
			t.Fatal(n, err)
		}
		got := 0
		for {
			if _, _, err := r.ReadPacketData(); err != nil {
				break
			}
			got++
		}
		if want := wholePackets(ends, n); got != want {
			t.Fatalf("%d octets: %d packets, want %d", n, got, want)
		}
	}
}

// cuttable is a capture of sample, and where its header and each packet end.
func cuttable(t testing.TB) (whole []byte, ends []int) {
	var file bytes.Buffer
	w, err := pcapout.NewWriter(&file, pcapout.PCAPNG, meta)
	if err != nil {
		t.Fatal(err)
	}
	ends = append(ends, file.Len())
	for _, p := range sample {
		_ = w.WritePacket(p)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, file.Len())
	}
	return file.Bytes(), ends
}

func wholePackets(ends []int, n int) int {
	packets := 0
	for _, end := range ends[1:] {
		if end <= n {
			packets++
		}
	}
	return packets
}

func TestNothingAllocates(t *testing.T) {
	for _, format := range []pcapout.Format{pcapout.PCAPNG, pcapout.PCAP} {
		w, err := pcapout.NewWriter(io.Discard, format, meta)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() {
			for _, p := range sample {
				_ = w.WritePacket(p)
			}
			_ = w.Flush()
		}); n != 0 {
			t.Errorf("format %d: %v allocations", format, n)
		}
	}
}

func BenchmarkWritePacket(b *testing.B) {
	w, err := pcapout.NewWriter(io.Discard, pcapout.PCAPNG, meta)
	if err != nil {
		b.Fatal(err)
	}
	p := pcapout.Packet{Time: start, Dir: pcapout.Out, Data: make([]byte, 1500), Comments: []string{strings.Repeat("x", 200)}}
	b.SetBytes(1500)
	b.ReportAllocs()
	for b.Loop() {
		_ = w.WritePacket(p)
		_ = w.Flush()
	}
}

// Packets of several interfaces, cut short by the capture: gopacket reads what
// was written.
func TestInterfacesAndLengths(t *testing.T) {
	var file bytes.Buffer
	w, err := pcapout.NewWriter(&file, pcapout.PCAPNG, pcapout.Meta{NoInterface: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, linkType := range []uint16{0, 1} {
		n, err := w.AddInterface([]string{"lo", "eth0"}[i], linkType)
		if n != i || err != nil {
			t.Fatalf("interface %d, %v", n, err)
		}
		if err := w.WritePacket(pcapout.Packet{Time: time.Unix(1, 0), Interface: n, Data: []byte("abc"), Length: 1000 * n}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WritePacket(pcapout.Packet{Time: time.Unix(1, 0), Interface: 2}); err == nil {
		t.Error("a packet of an interface that does not exist")
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		data, info, err := r.ReadPacketData()
		if err != nil || string(data) != "abc" || info.InterfaceIndex != i || info.Length != max(3, 1000*i) {
			t.Errorf("packet %d: %q, %+v, %v", i, data, info, err)
		}
		if iface, err := r.Interface(i); err != nil || int(iface.LinkType) != i || iface.Name != []string{"lo", "eth0"}[i] {
			t.Errorf("interface %d: %+v, %v", i, iface, err)
		}
	}
	classic, err := pcapout.NewWriter(io.Discard, pcapout.PCAP, pcapout.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := classic.AddInterface("eth0", 1); err == nil {
		t.Error("a classic pcap holds one interface")
	}
}
