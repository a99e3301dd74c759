package rawtcp

import (
	"cmp"
	"os"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// maxRanges bounds the length of the filter program, so that every jump in it
// fits (255 instructions) and every packet of the machine passes it quickly.
const maxRanges = 64

// A portRange holds the ports from lo to hi, both included.
type portRange struct{ lo, hi uint16 }

// mergeRanges covers the sorted ports with at most limit ranges: those whose
// gaps are the widest. So a range may hold ports that nobody asked for.
func mergeRanges(ports []uint16, limit int) []portRange {
	if len(ports) == 0 {
		return nil
	}
	gap := func(i int) int { return int(ports[i]) - int(ports[i-1]) }
	cuts := make([]int, 0, limit) // where ranges begin but the first, the widest gap first
	for i := 1; i < len(ports); i++ {
		at, _ := slices.BinarySearchFunc(cuts, gap(i), func(cut, g int) int { return g - gap(cut) })
		if gap(i) > 1 && at < limit-1 {
			cuts = slices.Insert(cuts[:min(len(cuts), limit-2)], at, i)
		}
	}
	slices.Sort(cuts)
	ranges := make([]portRange, 0, len(cuts)+1)
	from := 0
	for _, cut := range append(cuts, len(ports)) {
		ranges = append(ranges, portRange{ports[from], ports[cut-1]})
		from = cut
	}
	return ranges
}

// covers reports whether a port lies in one of the sorted ranges.
func covers(ranges []portRange, port uint16) bool {
	i, _ := slices.BinarySearchFunc(ranges, port, func(r portRange, port uint16) int { return cmp.Compare(r.hi, port) })
	return i < len(ranges) && ranges[i].lo <= port
}

// portFilter is the program for a raw TCP socket that accepts segments to the
// ports of the sorted ranges.
func portFilter(ranges []portRange, ipv6 bool) []bpf.Instruction {
	var prog []bpf.Instruction
	if ipv6 { // the packet begins with the TCP header
		prog = append(prog, bpf.LoadAbsolute{Off: 2, Size: 2})
	} else { // it begins with the IP header
		prog = append(prog, bpf.LoadMemShift{Off: 0}, bpf.LoadIndirect{Off: 2, Size: 2})
	}
	for i, r := range ranges {
		// Behind this pair stand left instructions, then "drop" and "accept".
		left := uint8(2 * (len(ranges) - i - 1))
		prog = append(prog,
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: uint32(r.lo), SkipTrue: left + 1},
			bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: uint32(r.hi), SkipTrue: left + 1})
	}
	return append(prog, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: 1<<32 - 1})
}

// toThisHost comes before a filter: what arrives in a frame to all, or to a group, is no
// business of TCP's, though the packet in it has our address (RFC 1122, section 3.3.6).
// The kernel's TCP drops it too, its raw sockets do not.
var toThisHost = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_HOST, SkipTrue: 1},
	bpf.RetConstant{Val: 0},
}

// attachFilter puts a classic BPF program on a socket, in place of any before.
func attachFilter(fd int, prog []bpf.Instruction) error {
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}))
}
