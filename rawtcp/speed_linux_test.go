package rawtcp_test

import (
	"io"
	"net"
	"testing"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab/labtest"
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
