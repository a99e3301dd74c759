package rawtcp_test

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/stack"
)

const mebi = 1 << 20

// full is for the sizes that take minutes:
//
//	go test -count=1 -timeout=30m -run TestTransfer ./rawtcp -full
var full = flag.Bool("full", false, "transfer 64 MiB each way with 2 % of the packets lost, 1 MiB with 20 %")

// TestTransfer sends to a kernel and back, both at once.
func TestTransfer(t *testing.T) {
	wrap := stack.Seq(1<<32 - mebi/2)
	for _, tt := range []struct {
		name     string
		size     int64
		full     int64 // the size with -full
		drop     int   // percent of the packets, each way
		offloads bool
		isn      *stack.Seq
	}{
		{name: "clean", size: 16 * mebi, full: 64 * mebi, offloads: true},
		{name: "on a real wire", size: 16 * mebi, full: 64 * mebi},
		{name: "2 percent lost", size: 4 * mebi, full: 64 * mebi, drop: 2},
		{name: "20 percent lost", size: mebi / 4, full: mebi, drop: 20},
		{name: "across the wrap", size: mebi, full: 16 * mebi, drop: 2, isn: &wrap},
	} {
		for _, v6 := range []bool{false, true} {
			for _, server := range []bool{false, true} {
				name := fmt.Sprintf("%s/IPv%d/%s", tt.name, map[bool]int{false: 4, true: 6}[v6], map[bool]string{false: "client", true: "server"}[server])
				t.Run(name, func(t *testing.T) {
					pair := labtest.NewPair(t)
					us, them := pair.A.IPv4, pair.B.IPv4
					if v6 {
						us, them = pair.A.IPv6, pair.B.IPv6
					}
					if !tt.offloads {
						pair.A.Offloads(false)
						pair.B.Offloads(false)
					}
					if tt.drop > 0 {
						pair.A.Drop(tt.drop)
						pair.B.Drop(tt.drop)
					}
					audit := newAudit(t, pair.A, them)
					host := newHost(t, rawLink(t, pair.A))
					var c, s net.Conn
					if server {
						lc := rawtcp.ListenConfig{Host: host, ISN: tt.isn, Tap: audit.Tap}
						l, err := lc.Listen(t.Context(), "tcp", netip.AddrPortFrom(us, 0).String())
						if err != nil {
							t.Fatal(err)
						}
						defer l.Close()
						c, s = open(t, l, func(address string) (net.Conn, error) { return kernelDial(pair.B, address) })
					} else {
						d := rawtcp.Dialer{Host: host, ISN: tt.isn, Tap: audit.Tap}
						c, s = open(t, listen(t, pair.B, them), func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
					}
					size := tt.size
					if *full {
						size = tt.full
					}
					exchange(t, c, size, s, size)
				})
			}
		}
	}
}
