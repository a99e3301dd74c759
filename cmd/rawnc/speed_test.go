package main

import (
	"bufio"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"rawnc/pcapout"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// connectionsOf is how many connections the capture of the benchmark has; 100,000
// are 1.1 GB.
func connectionsOf(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("RAWNC_BENCH_CONNECTIONS"))
	if err != nil {
		n = 2000
	}
	b.Logf("a capture of %d connections (RAWNC_BENCH_CONNECTIONS)", n)
	return n
}

// tsharkFields are the fields of the JSON object that Wireshark has too.
var tsharkFields = []string{
	"frame.number", "frame.time_relative", "tcp.stream", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport",
	"tcp.flags", "tcp.seq", "tcp.ack", "tcp.nxtseq", "tcp.seq_raw", "tcp.ack_raw", "tcp.len",
	"tcp.window_size", "tcp.window_size_value", "tcp.options", "tcp.analysis.acks_frame", "tcp.analysis.ack_rtt",
	"tcp.analysis.bytes_in_flight", "tcp.analysis.flags", "tcp.checksum.status",
}

// BenchmarkExplain holds the program against tshark: both write the same fields
// of the same capture to a file. The issue asks for a tenth of tshark's time.
func BenchmarkExplain(b *testing.B) {
	dir := b.TempDir()
	name := filepath.Join(dir, "many.pcap")
	packets := manyConnections(b, name, connectionsOf(b), 8)
	program := filepath.Join(dir, "rawnc")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	fields := []string{"-r", name, "-T", "fields"}
	for _, f := range tsharkFields {
		fields = append(fields, "-e", f)
	}
	for _, command := range [][]string{
		append([]string{"tshark"}, fields...),
		{program, "explain", "--format", "json", name},
	} {
		b.Run(filepath.Base(command[0]), func(b *testing.B) {
			if _, err := exec.LookPath(command[0]); err != nil {
				b.Skip(err)
			}
			for b.Loop() {
				cmd := exec.Command(command[0], command[1:]...)
				out, err := os.Create(filepath.Join(dir, "out"))
				if err != nil {
					b.Fatal(err)
				}
				cmd.Stdout = out
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				out.Close()
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/capture")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*packets), "ns/packet")
		})
	}
}

// manyConnections writes a capture of complete connections, a thousand of them
// open at once: a request, an answer of some segments, ACKs, and a close.
func manyConnections(t testing.TB, name string, connections, answer int) (packets int) {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	w, err := pcapout.NewWriter(buffered, pcapout.PCAP, pcapout.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	g := &generator{w: w, now: time.Unix(1_700_000_000, 0), answer: answer}
	const atOnce = 1000
	var open []*generated
	for i := 0; i < connections || len(open) > 0; {
		for ; i < connections && len(open) < atOnce; i++ {
			open = append(open, newGenerated(i))
		}
		left := open[:0]
		for _, c := range open {
			if g.step(c) {
				left = append(left, c)
			}
		}
		open = left
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{w.Close(0), buffered.Flush(), f.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return g.packets
}

type generator struct {
	w       *pcapout.Writer
	now     time.Time
	answer  int // full-sized segments of an answer
	packets int
	buf     []byte
}

// A generated connection is at a step of its life.
type generated struct {
	client, server         netip.Addr
	port                   uint16
	clientNext, serverNext stack.Seq
	ts                     uint32
	at                     int
}

func newGenerated(i int) *generated {
	a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	return &generated{
		client: a, server: netip.AddrFrom4([4]byte{192, 0, 2, 1}), port: uint16(1024 + i%60000),
		clientNext: stack.Seq(binary.BigEndian.Uint32([]byte{byte(i), byte(i >> 8), 77, byte(i)})), serverNext: stack.Seq(i * 7919),
	}
}

var generatedPayload = make([]byte, 1448)

func init() {
	for i := range generatedPayload {
		generatedPayload[i] = "0123456789abcdef"[i%16]
	}
}

// step writes the connection's next segment, and reports whether there are more.
func (g *generator) step(c *generated) bool {
	last := 5 + g.answer*3/2
	step := c.at
	c.at++
	switch {
	case step == 0:
		g.send(c, true, stack.SYN, nil)
	case step == 1:
		g.send(c, false, stack.SYN|stack.ACK, nil)
	case step == 2:
		g.send(c, true, stack.ACK, nil)
	case step == 3:
		g.send(c, true, stack.PSH|stack.ACK, generatedPayload[:300])
	case step == 4:
		g.send(c, false, stack.ACK, nil)
	case step < last && step%3 == 1:
		g.send(c, true, stack.ACK, nil)
	case step < last:
		g.send(c, false, stack.ACK, generatedPayload[:len(generatedPayload)-440*(int(c.ts)%2)])
	case step == last:
		g.send(c, false, stack.FIN|stack.ACK, nil)
	case step == last+1:
		g.send(c, true, stack.FIN|stack.ACK, nil)
	default:
		g.send(c, false, stack.ACK, nil)
		return false
	}
	return true
}

func (g *generator) send(c *generated, fromClient bool, flags stack.Flags, payload []byte) {
	p := wire.Packet{Src: c.client, Dst: c.server, TTL: 64, DF: true}
	p.Segment = stack.Segment{
		SrcPort: c.port, DstPort: 80, Seq: c.clientNext, Ack: c.serverNext, Flags: flags, Window: 502, Payload: payload,
		Options: stack.Options{HasTimestamps: true, TSVal: c.ts, TSEcr: c.ts},
	}
	next := &c.clientNext
	if !fromClient {
		p.Src, p.Dst, p.SrcPort, p.DstPort, p.Seq, p.Ack = p.Dst, p.Src, p.DstPort, p.SrcPort, p.Ack, p.Seq
		next = &c.serverNext
	}
	if !flags.Has(stack.ACK) {
		p.Ack = 0
	}
	if flags.Has(stack.SYN) {
		p.Options.MSS, p.Options.SACKPermitted, p.Options.HasWindowScale, p.Options.WindowScale = 1460, true, true, 7
	}
	c.ts++
	g.now = g.now.Add(10 * time.Microsecond)
	g.packets++
	var err error
	if g.buf, err = wire.AppendHeaders(g.buf[:0], &p); err != nil {
		panic(err)
	}
	g.buf = append(g.buf, payload...)
	if err := g.w.WritePacket(pcapout.Packet{Time: g.now, Data: g.buf}); err != nil {
		panic(err)
	}
	*next = p.Next()
}
