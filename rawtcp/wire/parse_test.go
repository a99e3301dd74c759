package wire_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

const (
	ipv4Addrs = `0a000001 0a000002 `
	ipv6Addrs = `20010db8000000000000000000000001 20010db8000000000000000000000002 `
	tcpHeader = `c350 1fb1 00000001 00000002 50 10 01f6 0000 0000 `
)

// MUST-50.
func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		bytes string
		want  error
	}{
		"nothing":                      {``, wire.ErrTruncated},
		"neither IPv4 nor IPv6":        {`75`, wire.ErrMalformed},
		"IPv4, cut in its header":      {`45 00 0028 0001 0000 40 06`, wire.ErrTruncated},
		"IPv4 header under 20 octets":  {`44 00 0028 0001 0000 40 06 0000` + ipv4Addrs + tcpHeader, wire.ErrMalformed},
		"IPv4 total below its header":  {`45 00 0013 0001 0000 40 06 0000` + ipv4Addrs + tcpHeader, wire.ErrMalformed},
		"IPv4 options skipped":         {`47 00 0030 0001 0000 40 06 0000` + ipv4Addrs + `9404000001010100` + tcpHeader, nil},
		"IPv4, cut in its options":     {`47 00 0030 0001 0000 40 06 0000` + ipv4Addrs + `9404`, wire.ErrTruncated},
		"IPv4, total length 0":         {`45 00 0000 0001 0000 40 06 0000` + ipv4Addrs + tcpHeader, nil},
		"IPv4 first fragment":          {`45 00 0028 0001 2000 40 06 0000` + ipv4Addrs + tcpHeader, wire.ErrFragment},
		"IPv4 later fragment":          {`45 00 0028 0001 0001 40 06 0000` + ipv4Addrs + tcpHeader, wire.ErrFragment},
		"UDP":                          {`45 00 001c 0001 0000 40 11 0000` + ipv4Addrs + `0035 0035 0008 0000`, wire.ErrNotTCP},
		"TCP header does not fit":      {`45 00 0027 0001 0000 40 06 0000` + ipv4Addrs + tcpHeader, wire.ErrMalformed},
		"TCP header is cut":            {`45 00 0028 0001 0000 40 06 0000` + ipv4Addrs + `c350 1fb1 0000`, wire.ErrTruncated},
		"TCP data offset 4":            {`45 00 0028 0001 0000 40 06 0000` + ipv4Addrs + `c350 1fb1 00000001 00000002 40 10 01f6 0000 0000`, wire.ErrMalformed},
		"TCP options do not fit":       {`45 00 0028 0001 0000 40 06 0000` + ipv4Addrs + `c350 1fb1 00000001 00000002 60 10 01f6 0000 0000`, wire.ErrMalformed},
		"TCP reserved bits ignored":    {`45 00 0028 0001 0000 40 06 0000` + ipv4Addrs + `c350 1fb1 00000001 00000002 5f 10 01f6 0000 0000`, nil},
		"IPv6, cut in its header":      {`60000000 0014 06 40 20010db8`, wire.ErrTruncated},
		"IPv6":                         {`60000000 0014 06 40` + ipv6Addrs + tcpHeader, nil},
		"IPv6, payload length 0":       {`60000000 0000 06 40` + ipv6Addrs + tcpHeader, nil},
		"IPv6, all extension headers":  {`60000000 003c 00 40` + ipv6Addrs + `3c00 050200000100` + `2b01 010c000000000000 000000000000` + `2c00 000000000000` + `0600 0000 00000001` + tcpHeader, nil},
		"IPv6 jumbogram":               {`60000000 0000 00 40` + ipv6Addrs + `0600 c20400011170` + tcpHeader, nil},
		"IPv6 first fragment":          {`60000000 001c 2c 40` + ipv6Addrs + `0600 0001 00000001` + tcpHeader, wire.ErrFragment},
		"IPv6 later fragment":          {`60000000 001c 2c 40` + ipv6Addrs + `0600 0008 00000001` + tcpHeader, wire.ErrFragment},
		"IPv6 extension does not fit":  {`60000000 0014 00 40` + ipv6Addrs + `0602 010c00000000` + tcpHeader, wire.ErrMalformed},
		"IPv6 extension is cut":        {`60000000 0030 00 40` + ipv6Addrs + `0602 010c00000000`, wire.ErrTruncated},
		"IPv6 extension is cut at 4":   {`60000000 0030 00 40` + ipv6Addrs + `0602 010c`, wire.ErrTruncated},
		"IPv6, encrypted":              {`60000000 0008 32 40` + ipv6Addrs + `00000001 00000001`, wire.ErrNotTCP},
		"IPv6, no next header":         {`60000000 0000 3b 40` + ipv6Addrs, wire.ErrNotTCP},
		"IPv6, hop-by-hop and the end": {`60000000 0008 00 40` + ipv6Addrs + `0600 010400000000`, wire.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			p := wire.Packet{ID: 7, FlowLabel: 7, DF: true, Cut: 7, Checksum: stack.ChecksumValid} // from the packet before
			if err := wire.Parse(unhex(t, c.bytes), &p); err != c.want {
				t.Fatalf("got %v, want %v", err, c.want)
			} else if err != nil {
				return
			}
			want := stack.Segment{SrcPort: 50000, DstPort: 8113, Seq: 1, Ack: 2, Flags: stack.ACK, Window: 502}
			if diff := cmp.Diff(want, p.Segment, sameFields); diff != "" {
				t.Error(diff)
			}
			if p.FlowLabel != 0 || p.DF || p.ID == 7 || p.Cut != 0 {
				t.Errorf("left from the packet before: %+v", p)
			}
		})
	}
}

// A capture that keeps the first octets of each packet still tells the true
// length, and the checksum cannot be judged.
func TestParseCut(t *testing.T) {
	p := articleSYN()
	p.Payload = []byte("hello2020\n")
	whole := encode(t, p)
	for n := range whole {
		var got wire.Packet
		err := wire.Parse(whole[:n], &got)
		if n < 40 {
			if !errors.Is(err, wire.ErrTruncated) {
				t.Errorf("%d octets: %v", n, err)
			}
			continue
		}
		payload := max(n-60, 0) // behind the options
		if err != nil || got.Checksum != stack.ChecksumUnknown || got.Cut != 10-payload || len(got.Payload) != payload {
			t.Errorf("%d octets: %v, checksum %v, cut %d, payload %q", n, err, got.Checksum, got.Cut, got.Payload)
		}
	}
}

func TestChecksumVerdict(t *testing.T) {
	for _, size := range []int{0, 1, 1448, 20000} { // the last as GRO puts them together
		p := articleSYN()
		p.Payload = make([]byte, size)
		b := encode(t, p)
		judge := func(field uint16) stack.Checksum {
			binary.BigEndian.PutUint16(b[36:], field)
			return parse(t, b).Checksum
		}
		right := binary.BigEndian.Uint16(b[36:])
		partial := pseudoSum(b)
		if got := judge(right); got != stack.ChecksumValid {
			t.Errorf("%d octets, the right one: %v", size, got)
		}
		if got := judge(partial); got != stack.ChecksumPartial {
			t.Errorf("%d octets, the pseudo-header's sum: %v", size, got)
		}
		for _, wrong := range []uint16{right + 1, partial + 1, ^partial} {
			if got := judge(wrong); got != stack.ChecksumWrong {
				t.Errorf("%d octets, %04x: %v", size, wrong, got)
			}
		}
	}
}

// pseudoSum is the folded sum of an IPv4 packet's pseudo-header, taken plainly.
func pseudoSum(b []byte) uint16 {
	s := 6 + uint32(len(b)-20)
	for i := 12; i < 20; i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return uint16(s + s>>16)
}

// A segment whose right checksum is the pseudo-header's sum as well is valid.
func TestChecksumValidAndPartial(t *testing.T) {
	p := articleSYN()
	p.Payload = make([]byte, 2)
	for n := range 1 << 16 {
		binary.BigEndian.PutUint16(p.Payload, uint16(n))
		b := encode(t, p)
		if binary.BigEndian.Uint16(b[36:]) == pseudoSum(b) {
			if got := parse(t, b).Checksum; got != stack.ChecksumValid {
				t.Fatal(got)
			}
			return
		}
	}
	t.Fatal("no payload makes the two the same")
}

// Whatever can be read and written is read the same again.
func FuzzParse(f *testing.F) {
	f.Add(encode(f, articleSYN()))
	f.Add(unhex(f, `60000000 003c 00 40`+ipv6Addrs+`3c00 050200000100`+`2b01 010c000000000000 000000000000`+`2c00 000000000000`+`0600 0000 00000001`+tcpHeader))
	f.Add(unhex(f, `47 00 0030 0001 0000 40 06 0000`+ipv4Addrs+`9404000001010100`+tcpHeader))
	f.Add(withOptions(f, unhex(f, `080a0000000100000002 01 050a0000000300000004 01 00 00`)))
	f.Add(withOptions(f, unhex(f, `0301 0402`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p wire.Packet
		if wire.Parse(b, &p) != nil {
			return
		}
		if p.Cut < 0 || (p.Cut > 0) != (p.Checksum == stack.ChecksumUnknown) || len(p.RawOptions)+len(p.Payload) > len(b) {
			t.Fatalf("cut %d, checksum %v, %d octets of options and %d of payload in %d", p.Cut, p.Checksum, len(p.RawOptions), len(p.Payload), len(b))
		}
		again, err := wire.AppendHeaders(nil, &p)
		if err != nil {
			return // options in an order that took less, an IPv6-mapped address, a super-segment
		}
		got := parse(t, append(again, p.Payload...))
		if diff := cmp.Diff(p, got, sameFields); diff != "" {
			t.Fatal(diff)
		}
		if got.Checksum != stack.ChecksumValid {
			t.Fatal(got.Checksum)
		}
	})
}

// A capture with a short snap length ends in the options: what there is counts.
func TestParseCutOptions(t *testing.T) {
	whole, err := wire.AppendHeaders(nil, &wire.Packet{
		Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("192.0.2.2"), ID: 1,
		Segment: stack.Segment{Seq: 7, Flags: stack.SYN, Options: stack.Options{MSS: 1460, HasTimestamps: true, TSVal: 1}, Payload: []byte("hi")},
	})
	if err != nil {
		t.Fatal(err)
	}
	var p wire.Packet
	if err := wire.Parse(whole[:46], &p); err != nil {
		t.Fatal(err)
	}
	if p.Seq != 7 || p.Options.MSS != 1460 || p.Options.HasTimestamps || p.Cut != 2 || len(p.Payload) != 0 || p.Checksum != stack.ChecksumUnknown {
		t.Errorf("got %+v; want Seq 7, MSS 1460, no timestamps, and 2 octets of payload missing", p)
	}
}
