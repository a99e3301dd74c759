package wire_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// What Linux 6.18 sends on loopback, caught with tcpdump, for each setting of
// tcp_timestamps, tcp_sack and tcp_window_scaling; then what its segments
// without SYN look like; then RFC 5482's option, which it does not have, and RFC 7413's.
// MUST-4, MUST-68, MUST-69.
func TestOptionsAsLinuxSendsThem(t *testing.T) {
	for _, c := range []struct {
		options stack.Options
		bytes   string
	}{
		{stack.Options{}, ``},
		{stack.Options{MSS: 65495}, `0204ffd7`},
		{stack.Options{MSS: 65495, HasWindowScale: true, WindowScale: 10}, `0204ffd7 0103030a`},
		{stack.Options{MSS: 65495, SACKPermitted: true}, `0204ffd7 01010402`},
		{stack.Options{MSS: 65495, SACKPermitted: true, HasWindowScale: true, WindowScale: 10}, `0204ffd7 01010402 0103030a`},
		{stack.Options{MSS: 65495, HasTimestamps: true, TSVal: 0x4bd52baf}, `0204ffd7 0101080a 4bd52baf 00000000`},
		{
			stack.Options{MSS: 65495, HasTimestamps: true, TSVal: 0xd91c1c06, HasWindowScale: true, WindowScale: 10},
			`0204ffd7 0101080a d91c1c06 00000000 0103030a`,
		}, {
			stack.Options{MSS: 65495, SACKPermitted: true, HasTimestamps: true, TSVal: 0x394e99a2, TSEcr: 0x01b890b7},
			`0204ffd7 0402080a 394e99a2 01b890b7`,
		}, {
			stack.Options{MSS: 65495, SACKPermitted: true, HasTimestamps: true, TSVal: 0x151f6e91, TSEcr: 0x84679da4, HasWindowScale: true, WindowScale: 10},
			`0204ffd7 0402080a 151f6e91 84679da4 0103030a`,
		},
		{stack.Options{HasTimestamps: true, TSVal: 1, TSEcr: 2}, `0101080a 00000001 00000002`},
		{
			stack.Options{HasTimestamps: true, TSVal: 1, TSEcr: 2, SACKCount: 2, SACK: blocks(3, 4, 5, 6)},
			`0101080a 00000001 00000002 01010512 00000003 00000004 00000005 00000006`,
		},
		{ // FreeBSD's, and Windows' without timestamps
			stack.Options{MSS: 1460, SACKPermitted: true, HasTimestamps: true, TSVal: 1, TSEcr: 2, HasWindowScale: true, WindowScale: 6, Order: stack.OrderBSD},
			`020405b4 01030306 0402080a 00000001 00000002`,
		},
		{stack.Options{MSS: 1460, SACKPermitted: true, HasWindowScale: true, WindowScale: 8, Order: stack.OrderBSD}, `020405b4 01030308 01010402`},
		{stack.Options{UserTimeout: 0x8005}, `1c048005`},
		{stack.Options{HasFastOpen: true}, `01012202`},
		{stack.Options{HasFastOpen: true, FastOpen: "cookie!!"}, `0101220a 636f6f6b69652121`},
	} {
		t.Run(c.bytes, func(t *testing.T) {
			want := unhex(t, c.bytes)
			p := articleSYN()
			p.Options = c.options
			got := parse(t, encode(t, p))
			if !bytes.Equal(got.RawOptions, want) {
				t.Errorf("got  %x\nwant %x", got.RawOptions, want)
			}
			c.options.Order = stack.OrderLinux // what is read has none
			if diff := cmp.Diff(c.options, got.Options); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What other hosts send, sane or not. The segment is accepted every time.
// MUST-4, MUST-6, MUST-7, MUST-64.
func TestParseOptions(t *testing.T) {
	mss := stack.Options{MSS: 1460}
	for name, c := range map[string]struct {
		bytes string
		want  stack.Options
	}{
		"FreeBSD's order":            {`020405b4 01 030306 0402 080a0000000100000002`, stack.Options{MSS: 1460, HasWindowScale: true, WindowScale: 6, SACKPermitted: true, HasTimestamps: true, TSVal: 1, TSEcr: 2}},
		"no alignment (MUST-64)":     {`080a0000000100000002 01 050a0000000300000004 01`, stack.Options{HasTimestamps: true, TSVal: 1, TSEcr: 2, SACKCount: 1, SACK: blocks(3, 4)}},
		"unknown skipped (MUST-6)":   {`fd06aabbccdd 020405b4 1e02`, mss},
		"nothing behind the end":     {`020405b4 00 030307`, mss},
		"length 0 (MUST-7)":          {`020405b4 0300 0402`, mss},
		"length 1":                   {`020405b4 0301 0402`, mss},
		"length past the end":        {`020405b4 080a00000001`, mss},
		"a kind without its length":  {`020405b4 010108`, mss},
		"MSS, too short":             {`020405b4 0203ff 01`, mss},
		"MSS, too long":              {`020405b4 0205000001`, mss},
		"SACK of no block":           {`0502 020405b4`, mss},
		"SACK of a block and a half": {`050e000000010000000200000003 01 020405b4 01`, mss},
		"four SACK blocks":           {`01010522 0000000100000002 0000000300000004 0000000500000006 0000000700000008`, stack.Options{SACKCount: 4, SACK: blocks(1, 2, 3, 4, 5, 6, 7, 8)}},
		"window scale above 14":      {`0303ff`, stack.Options{HasWindowScale: true, WindowScale: 255}},
		"Fast Open, too short":       {`2204aabb 020405b4`, mss},
		"the later MSS holds":        {`02040001 020405b4`, mss},
	} {
		t.Run(name, func(t *testing.T) {
			options := unhex(t, c.bytes)
			for len(options)%4 != 0 {
				options = append(options, 0)
			}
			got := parse(t, withOptions(t, options))
			if diff := cmp.Diff(c.want, got.Options); diff != "" {
				t.Errorf("options %s:\n%s", hex.EncodeToString(options), diff)
			}
		})
	}
}

// blocks are SACK blocks by their edges.
func blocks(edges ...stack.Seq) (s [4]stack.SACKBlock) {
	for i := 0; i < len(edges); i += 2 {
		s[i/2] = stack.SACKBlock{Left: edges[i], Right: edges[i+1]}
	}
	return s
}

// withOptions is a packet whose TCP options are these octets; the checksum is
// not right.
func withOptions(t testing.TB, options []byte) []byte {
	p := &wire.Packet{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2")}
	b := append(encode(t, p), options...)
	b[3] += byte(len(options))
	b[32] += byte(len(options) / 4 << 4)
	return b
}

// Any octets at all may stand where the options do. What
// is made of them does not depend on what lies behind the last that makes sense,
// and can be said again.
func FuzzOptions(f *testing.F) {
	for _, s := range []string{``, `00`, `0101080a0000000100000002`, `0204`, `020405b4 0300`, `050a0000000100000002 0402`, `ff`, `1c048005`} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, options []byte) {
		options = slices.Clone(options[:min(len(options), 40)])
		for len(options)%4 != 0 {
			options = append(options, 0)
		}
		p := parse(t, withOptions(t, options))
		clear(p.Options.SACK[p.Options.SACKCount:]) // of an option before the last
		if !bytes.Equal(p.RawOptions, options) {
			t.Fatalf("the options are %x", p.RawOptions)
		}
		again := articleSYN()
		again.Options = p.Options
		b, err := wire.AppendHeaders(nil, again)
		if err != nil {
			return // the alignment takes more room than there is
		}
		if diff := cmp.Diff(p.Options, parse(t, b).Options); diff != "" {
			t.Fatal(diff)
		}
	})
}
