package rawtcp

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
	"pgregory.net/rapid"
)

func TestMergeRanges(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ports []uint16
		limit int
		want  []portRange
	}{
		{"none", nil, 4, nil},
		{"one", []uint16{80}, 4, []portRange{{80, 80}}},
		{"the ends", []uint16{0, 65535}, 4, []portRange{{0, 0}, {65535, 65535}}},
		{"neighbours", []uint16{80, 81, 82, 90}, 4, []portRange{{80, 82}, {90, 90}}},
		{"the same twice", []uint16{80, 80, 90, 90}, 4, []portRange{{80, 80}, {90, 90}}},
		{"as many as the limit", []uint16{1, 3, 6}, 3, []portRange{{1, 1}, {3, 3}, {6, 6}}},
		{"the nearest merge", []uint16{10, 20, 23, 40, 45}, 3, []portRange{{10, 10}, {20, 23}, {40, 45}}},
		{"all merge", []uint16{10, 20, 30}, 1, []portRange{{10, 30}}},
	} {
		if diff := cmp.Diff(tt.want, mergeRanges(tt.ports, tt.limit), cmp.AllowUnexported(portRange{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// The ranges hold every port, at most as many as allowed, and where fewer would
// do, nothing else; the gaps left out are the widest. The program agrees.
func TestMergeRangesAndFilterProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ports := rapid.SliceOf(rapid.Uint16()).Draw(t, "ports")
		if rapid.Bool().Draw(t, "dense") {
			for i := range ports {
				ports[i] %= 300
			}
		}
		slices.Sort(ports)
		limit := rapid.IntRange(1, maxRanges).Draw(t, "limit")
		ranges := mergeRanges(ports, limit)
		if len(ranges) > limit {
			t.Fatalf("%d ranges", len(ranges))
		}
		in := func(port uint16) bool {
			return slices.ContainsFunc(ranges, func(r portRange) bool { return r.lo <= port && port <= r.hi })
		}
		for _, p := range ports {
			if !in(p) {
				t.Fatalf("%d is in no range of %v", p, ranges)
			}
		}
		if p := rapid.Uint16().Draw(t, "some port"); covers(ranges, p) != in(p) {
			t.Fatalf("covers says of %d: %v; ranges %v", p, !in(p), ranges)
		}
		narrowest := 1 << 16 // gap between ranges
		for i := 1; i < len(ranges); i++ {
			narrowest = min(narrowest, int(ranges[i].lo)-int(ranges[i-1].hi))
		}
		if narrowest < 2 {
			t.Fatalf("ranges touch or are not in order: %v", ranges)
		}
		for i := 1; i < len(ports); i++ {
			gap := int(ports[i]) - int(ports[i-1])
			if gap > 1 && in(ports[i-1]+1) && (len(ranges) < limit || gap > narrowest) {
				t.Fatalf("the gap between %d and %d is filled without need: %v", ports[i-1], ports[i], ranges)
			}
		}

		ipv6 := rapid.Bool().Draw(t, "ipv6")
		vm, err := bpf.NewVM(portFilter(ranges, ipv6))
		if err != nil {
			t.Fatal(err)
		}
		tries := []uint16{0, 65535, rapid.Uint16().Draw(t, "port")}
		for _, r := range ranges {
			tries = append(tries, r.lo, r.hi, r.lo-1, r.hi+1)
		}
		for _, port := range tries {
			// The source port must not count, nor where the IPv4 header ends.
			pkt := []byte{0, 80, byte(port >> 8), byte(port)}
			if !ipv6 {
				options := rapid.IntRange(0, 10).Draw(t, "options")
				pkt = slices.Concat([]byte{byte(0x45 + options)}, make([]byte, 19+4*options), pkt)
			}
			if accepted, err := vm.Run(pkt); err != nil || (uint32(accepted) >= uint32(len(pkt))) != in(port) {
				t.Fatalf("port %d: the program returns %d, %v; ranges %v", port, accepted, err, ranges)
			}
		}
	})
}
