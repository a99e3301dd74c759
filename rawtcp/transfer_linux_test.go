package rawtcp_test

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
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
		faults   *rawtcp.Faults // of our link, each way
		packet   bool           // our link is a packet link
	}{
		{name: "clean", size: 8 * mebi, full: 64 * mebi, offloads: true},
		{name: "on a real wire", size: 8 * mebi, full: 64 * mebi},
		{name: "2 percent lost", size: 4 * mebi, full: 64 * mebi, drop: 2},
		{name: "10 percent lost", size: mebi / 4, full: 4 * mebi, drop: 10},
		{name: "20 percent lost", full: mebi, drop: 20}, // that may take minutes, between two kernels too
		{name: "across the wrap", size: mebi, full: 16 * mebi, drop: 2, isn: &wrap},
		{name: "packet link, clean", packet: true, size: 8 * mebi, full: 256 * mebi, offloads: true},
		{name: "packet link, on a real wire", packet: true, size: 8 * mebi, full: 64 * mebi},
		{name: "packet link, 2 percent lost", packet: true, size: 4 * mebi, full: 64 * mebi, drop: 2},
		{name: "packet link, across the wrap", packet: true, size: mebi, full: 16 * mebi, drop: 2, isn: &wrap, offloads: true},
		{name: "faulty link", size: 4 * mebi, full: 64 * mebi, faults: &rawtcp.Faults{Duplicate: 0.05, Reorder: 0.05, Corrupt: 0.02, Seed: 1}},
	} {
		if tt.size == 0 && !*full {
			continue
		}
		for _, v6 := range []bool{false, true} {
			for _, server := range []bool{false, true} {
				name := fmt.Sprintf("%s/IPv%d/%s", tt.name, map[bool]int{false: 4, true: 6}[v6], map[bool]string{false: "client", true: "server"}[server])
				t.Run(name, func(t *testing.T) {
					t.Parallel()
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
					link := rawLink(t, pair.A)
					if tt.packet {
						link = packetLink(t, pair.A)
					}
					var audit *audit
					switch {
					case tt.faults != nil:
						audit = newTapAudit(t, pair.A, them)
						link = rawtcp.WithFaults(link, *tt.faults, *tt.faults)
					case tt.packet && tt.offloads: // the device has not cut yet what the cable shows
						audit = newTapAudit(t, pair.A, them)
					default:
						audit = newAudit(t, pair.A, them)
					}
					host := newHost(t, link)
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

// TestLoopback: its MTU of 64 KiB is used as it is, over either link.
func TestLoopback(t *testing.T) {
	pair := labtest.NewPair(t)
	for name, link := range map[string]func(testing.TB, *lab.Host) rawtcp.Link{"raw": rawLink, "packet": packetLink} {
		for _, addr := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
			t.Run(fmt.Sprintf("%s/%v", name, addr), func(t *testing.T) {
				largest := 0
				d := rawtcp.Dialer{Host: newHost(t, link(t, pair.A)), Tap: func(e *rawtcp.Event) {
					if e.Sent {
						largest = max(largest, len(e.Packet))
					}
				}}
				c, s := open(t, listen(t, pair.A, addr), func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
				exchange(t, c, 8*mebi, s, 8*mebi)
				if c.(*rawtcp.Conn).Snapshot(); largest < 65500 { // with the host's lock
					t.Errorf("the largest packet has %d octets", largest)
				}
			})
		}
	}
}

// TestClosedWindow: who does not read for ten seconds loses nothing, and is
// asked now and then whether there is room again.
func TestClosedWindow(t *testing.T) {
	const size, silence = 8 * mebi, 10 * time.Second
	for _, reader := range []string{"kernel", "raw"} {
		t.Run(reader, func(t *testing.T) {
			t.Parallel()
			pair := labtest.NewPair(t)
			audit := newAudit(t, pair.A, pair.B.IPv4)
			shut := make(chan struct{})
			once := sync.OnceFunc(func() { close(shut) })
			var probes atomic.Int32
			d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: func(e *rawtcp.Event) {
				audit.Tap(e)
				// The reader's segments: does it offer nothing?
				if e.Sent == (reader == "raw") && e.Segment.Flags == stack.ACK && e.Segment.Window == 0 {
					once()
				}
				if e.Reason.Kind == stack.ReasonWindowProbe {
					probes.Add(1)
				}
			}}
			ours, theirs := open(t, listen(t, pair.B, pair.B.IPv4), func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
			from, to := ours, theirs
			if reader == "raw" {
				from, to = theirs, ours
			}
			ready := make(chan struct{})
			time.AfterFunc(silence, func() {
				<-shut
				close(ready)
			})
			exchange(t, from, size, lateReader{to.(halfCloser), ready}, 0)
			if n := probes.Load(); reader == "kernel" && n < 2 {
				t.Errorf("%d window probes in %v, want more", n, silence)
			}
		})
	}
}

type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// A lateReader reads once it is ready.
type lateReader struct {
	halfCloser
	ready <-chan struct{}
}

func (r lateReader) Read(b []byte) (int, error) {
	<-r.ready
	return r.halfCloser.Read(b)
}
