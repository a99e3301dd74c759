package rawtcp_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// BenchmarkThroughput is one way over a cable without loss, to a kernel and
// from it; the kernel's own TCP stands beside it.
//
//	go test -run '^$' -bench Throughput ./rawtcp
func BenchmarkThroughput(b *testing.B) {
	for _, who := range []string{"raw", "kernel"} {
		for _, way := range []string{"up", "down"} {
			b.Run(who+"/"+way, func(b *testing.B) {
				pair := labtest.NewPair(b)
				dial := func(address string) (net.Conn, error) { return kernelDial(pair.A, address) }
				if who == "raw" {
					d := rawtcp.Dialer{Host: newHost(b, rawLink(b, pair.A))}
					dial = func(address string) (net.Conn, error) { return d.Dial("tcp", address) }
				}
				from, to := open(b, listen(b, pair.B, pair.B.IPv4), dial)
				if way == "down" {
					from, to = to, from
				}
				const size = 16 * mebi
				b.SetBytes(size)
				chunk := make([]byte, 64<<10)
				for b.Loop() {
					go func() {
						for range size / len(chunk) {
							from.Write(chunk)
						}
					}()
					if _, err := io.CopyN(io.Discard, struct{ io.Reader }{to}, size); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkLink is what the links take without TCP: full segments, which the far
// end drops as soon as it can. No transfer can be faster.
//
//	go test -run '^$' -bench Link ./rawtcp
func BenchmarkLink(b *testing.B) {
	const mss = 1448
	for _, tt := range []struct {
		name string
		link func(testing.TB, *lab.Host) rawtcp.Link
		size int
	}{{"raw", rawLink, mss}, {"packet", packetLink, mss}, {"packet/GSO", packetLink, 45 * mss}} {
		for _, offloads := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/offloads=%v", tt.name, offloads), func(b *testing.B) {
				pair := labtest.NewPair(b)
				for _, h := range []*lab.Host{pair.A, pair.B} {
					if _, err := h.Run("ethtool", "-K", lab.Interface, "tso", onOff(offloads), "gso", onOff(offloads)); err != nil {
						b.Fatal(err)
					}
				}
				dropTCP(b, pair.B)
				link := tt.link(b, pair.A)
				defer link.Close()
				route, err := link.Route(pair.B.IPv4)
				if err != nil {
					b.Fatal(err)
				}
				p := wire.Packet{Src: route.Src, Dst: pair.B.IPv4, TTL: 64, ID: 1, DF: true}
				p.SrcPort, p.DstPort, p.Flags, p.Payload = 1, 1, stack.ACK, make([]byte, tt.size)
				if route.Offload > 0 {
					p.GSOSize = mss
				}
				header, err := wire.AppendHeaders(nil, &p)
				if err != nil {
					b.Fatal(err)
				}
				batch := make([]rawtcp.Outgoing, 32)
				for i := range batch {
					batch[i] = rawtcp.Outgoing{Dst: p.Dst, Header: header, Payload: p.Payload, GSOSize: p.GSOSize}
				}
				link.WriteBatch(batch[:1]) // finds the neighbour
				b.SetBytes(int64(len(batch) * tt.size))
				start := cpuTime(b)
				for b.Loop() {
					if _, err := link.WriteBatch(batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N*len(batch)*tt.size/mss), "CPU-ns/MSS")
			})
		}
	}
}

// BenchmarkReceive is what a download takes without TCP: the far end's full
// segments are read in batches as a Host reads them, copied once, as Read does, and
// answered with an ACK a batch, which it drops. own-CPU is without the far end's sending.
//
//	go test -run '^$' -bench Receive ./rawtcp
func BenchmarkReceive(b *testing.B) {
	const mss = 1448
	for _, tt := range []struct {
		name        string
		size, batch int
	}{{"MTU-size", mss, 64}, {"super-packets", 36 * mss, 5}} {
		b.Run(tt.name, func(b *testing.B) {
			pair := labtest.NewPair(b)
			dropTCP(b, pair.B)
			here, there := rawLink(b, pair.A), packetLink(b, pair.B)
			defer here.Close()
			defer there.Close()
			local, guard, err := here.Reserve(netip.AddrPortFrom(pair.A.IPv4, 0))
			if err != nil {
				b.Fatal(err)
			}
			defer guard.Close()
			packet := func(from, to *lab.Host, port uint16, payload []byte) rawtcp.Outgoing {
				p := wire.Packet{Src: from.IPv4, Dst: to.IPv4, TTL: 64, ID: 1, DF: true}
				p.SrcPort, p.DstPort, p.Flags, p.Payload = 1, port, stack.ACK, payload
				if len(payload) > mss {
					p.GSOSize = mss
				}
				header, err := wire.AppendHeaders(nil, &p)
				if err != nil {
					b.Fatal(err)
				}
				return rawtcp.Outgoing{Dst: p.Dst, Header: header, Payload: payload, GSOSize: p.GSOSize}
			}
			if _, err := there.Route(pair.A.IPv4); err != nil {
				b.Fatal(err)
			}
			out := slices.Repeat([]rawtcp.Outgoing{packet(pair.B, pair.A, local.Port(), make([]byte, tt.size))}, tt.batch)
			ack := []rawtcp.Outgoing{packet(pair.A, pair.B, 1, nil)}
			bufs, to := make([][]byte, tt.batch), make([]byte, 256<<10)
			for i := range bufs {
				bufs[i] = make([]byte, 1<<16)
			}
			var own time.Duration
			b.SetBytes(int64(tt.batch * tt.size))
			start := cpuTime(b)
			for b.Loop() {
				if _, err := there.WriteBatch(out); err != nil {
					b.Fatal(err)
				}
				before := cpuTime(b)
				for got := 0; got < tt.batch; {
					n, err := here.ReadBatch(bufs)
					if err != nil {
						b.Fatal(err)
					}
					for _, packet := range bufs[:n] {
						copy(to[got*mss%len(to):], packet[len(out[0].Header):])
						got++
					}
				}
				if _, err := here.WriteBatch(ack); err != nil {
					b.Fatal(err)
				}
				own += cpuTime(b) - before
			}
			segments := float64(b.N * tt.batch * tt.size / mss)
			b.ReportMetric(float64(own)/segments, "own-CPU-ns/MSS")
			b.ReportMetric(float64(cpuTime(b)-start)/segments, "CPU-ns/MSS")
		})
	}
}

// dropTCP makes a host drop what arrives, as soon as it can.
func dropTCP(b *testing.B, h *lab.Host) {
	err := h.Nft("table netdev f { chain in { type filter hook ingress device " + lab.Interface + " priority 0; ip protocol tcp drop; }; }")
	if err != nil {
		b.Fatal(err)
	}
}

// cpuTime is what this process has used, which says more than the clock where
// others work on the same machine.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
