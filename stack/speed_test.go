package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// handshake opens a connection between two Conns without a network.
func handshake(b *testing.B, cfg stack.Config, now time.Time) (client, server *stack.Conn) {
	cfg.MTU, cfg.Pool = 1500, new(stack.Pool)
	client, server = stack.New(cfg), stack.New(cfg)
	server.Listen(peerPort)
	client.Open(now, ourPort, peerPort)
	for range 2 {
		carry(now, client, server)
		carry(now, server, client)
	}
	if client.State() != stack.StateEstablished {
		b.Fatal(client.State())
	}
	return client, server
}

// carry takes to one Conn what the other has to send.
func carry(now time.Time, from, to *stack.Conn) (segments int) {
	var seg stack.Segment
	for {
		if _, ok := from.Next(now, &seg); !ok {
			return segments
		}
		to.Receive(now, &seg)
		segments++
	}
}

// BenchmarkConn is a segment's way from Write through two Conns to Read, and its
// share of the ACKs.
func BenchmarkConn(b *testing.B) {
	for _, tt := range []struct {
		name    string
		offload int
	}{{"a segment an MSS", 0}, {"a segment of 64 KiB", 65435}} {
		b.Run(tt.name, func(b *testing.B) {
			now := start
			client, server := handshake(b, stack.Config{Offload: tt.offload, NoDelay: true, DelayedACK: -1}, now)
			buf := make([]byte, 45*1448)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Millisecond)
				if n, err := client.Write(now, buf); n < len(buf) {
					b.Fatal(n, err)
				}
				for got := 0; got < len(buf); {
					for carry(now, client, server)+carry(now, server, client) > 0 {
					}
					n, err := server.Read(now, buf)
					if got += n; n == 0 {
						b.Fatal(got, err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*45), "ns/MSS")
		})
	}
}
