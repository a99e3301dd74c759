package rawtcp_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/stack"
	"rawnc/stack/fault"
)

// ecnTally counts what of RFC 3168 crosses our end, by who has sent it.
type ecnTally struct {
	mu                 sync.Mutex
	ect, ce, echo, cwr map[bool]int // true: we
}

func (e *ecnTally) tap(ev *rawtcp.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	seg := &ev.Segment
	if seg.Flags.Has(stack.SYN) || ev.ICMP != nil {
		return
	}
	count := func(m map[bool]int, yes bool) {
		if yes {
			m[ev.Sent]++
		}
	}
	count(e.ect, seg.ECN != stack.NotECT)
	count(e.ce, seg.ECN == stack.CE)
	count(e.echo, seg.Flags.Has(stack.ECE))
	count(e.cwr, seg.Flags.Has(stack.CWR))
}

// TestECN: with a kernel that wants it, marks of both directions are echoed and
// answered by both; with one that does not, there is nothing of it.
func TestECN(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, server := range []bool{false, true} {
			for _, willing := range []bool{true, false} {
				name := fmt.Sprintf("IPv%d/%s/%s", map[bool]int{false: 4, true: 6}[v6],
					map[bool]string{false: "client", true: "server"}[server], map[bool]string{false: "unwilling", true: "willing"}[willing])
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					pair := labtest.NewPair(t)
					err := pair.B.Do(func() error {
						return os.WriteFile("/proc/sys/net/ipv4/tcp_ecn", []byte(map[bool]string{false: "0", true: "1"}[willing]), 0)
					})
					if err != nil {
						t.Fatal(err)
					}
					us, them := pair.A.IPv4, pair.B.IPv4
					if v6 {
						us, them = pair.A.IPv6, pair.B.IPv6
					}
					var rules fault.Rules
					for _, text := range []string{"mark out data 5", "mark in data 5"} {
						rule, err := fault.Parse(text)
						if err != nil {
							t.Fatal(err)
						}
						rules.Add(rule)
					}
					faults := rawtcp.Faults{Rules: &rules}
					host := newHost(t, rawtcp.WithFaults(rawLink(t, pair.A), faults, faults))
					tally := &ecnTally{ect: map[bool]int{}, ce: map[bool]int{}, echo: map[bool]int{}, cwr: map[bool]int{}}
					cfg := stack.Config{ECN: true}
					var c, s net.Conn
					if server {
						lc := rawtcp.ListenConfig{Host: host, Config: cfg, Tap: tally.tap}
						l, err := lc.Listen(t.Context(), "tcp", netip.AddrPortFrom(us, 0).String())
						if err != nil {
							t.Fatal(err)
						}
						defer l.Close()
						c, s = open(t, l, func(address string) (net.Conn, error) { return kernelDial(pair.B, address) })
					} else {
						d := rawtcp.Dialer{Host: host, Config: cfg, Tap: tally.tap}
						c, s = open(t, listen(t, pair.B, them), func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
					}
					exchange(t, c, 4*mebi, s, 4*mebi)

					tally.mu.Lock()
					defer tally.mu.Unlock()
					for what, m := range map[string]map[bool]int{"ECT": tally.ect, "ECE": tally.echo, "CWR": tally.cwr} {
						if got := [2]bool{m[false] > 0, m[true] > 0}; got != [2]bool{willing, willing} {
							t.Errorf("%s: %d of the kernel, %d of us", what, m[false], m[true])
						}
					}
					if (tally.ce[false] > 0) != willing {
						t.Errorf("%d marked packets have come", tally.ce[false])
					}
				})
			}
		}
	}
}
