package main

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/text/language"

	"rawnc/pcapout"
	"rawnc/rawtcp"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
	"rawnc/stack/explain"
)

// upload is a large one in events: bursts of full segments, a few hundred in
// flight, and an ACK for every eight.
func upload(b *testing.B, n int) []*rawtcp.Event {
	us, them := netip.MustParseAddrPort("192.0.2.1:49152"), netip.MustParseAddrPort("192.0.2.2:9001")
	at := time.Unix(1e9, 0)
	var all []*rawtcp.Event
	event := func(sent bool, seg stack.Segment, payload int) {
		at = at.Add(3 * time.Microsecond)
		seg.Payload, seg.SrcPort, seg.DstPort = make([]byte, payload), us.Port(), them.Port()
		p := wire.Packet{Src: us.Addr(), Dst: them.Addr(), TTL: 64, ID: 1, Segment: seg}
		e := &rawtcp.Event{Time: at, Sent: sent, Local: us, Remote: them, State: stack.StateEstablished, Checksum: stack.ChecksumValid}
		if sent {
			e.Reason = stack.Reason{Kind: stack.ReasonData}
		} else {
			p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
			e.Judgment = &stack.Judgment{RcvNxt: seg.Seq, SndUna: seg.Ack}
		}
		header, err := wire.AppendHeaders(nil, &p)
		if err != nil {
			b.Fatal(err)
		}
		e.Packet, e.Segment = append(header, seg.Payload...), p.Segment
		e.Segment.Payload = e.Packet[len(header):]
		all = append(all, e)
	}
	const isn, mss, flight, thinned = 4216076034, 1448, 256, 8
	options := stack.Options{HasTimestamps: true, TSVal: 1e9, TSEcr: 2e9}
	event(true, stack.Segment{Seq: isn, Flags: stack.SYN, Window: 64240, Options: stack.Options{HasWindowScale: true, WindowScale: 7}}, 0)
	event(false, stack.Segment{Seq: 7, Ack: isn + 1, Flags: stack.SYN | stack.ACK, Window: 64240, Options: stack.Options{HasWindowScale: true, WindowScale: 7}}, 0)
	for i := range n {
		event(true, stack.Segment{Seq: stack.Seq(isn).Add(1 + i*mss), Ack: 8, Flags: stack.ACK, Window: 502, Options: options}, mss)
		if i >= flight && i%thinned == 0 {
			event(false, stack.Segment{Seq: 8, Ack: stack.Seq(isn).Add(1 + (i-flight)*mss), Flags: stack.ACK, Window: 24576, Options: options}, 0)
		}
	}
	return all
}

// What a packet of a large upload costs --pcap --quiet: the connection, which has
// it put down, and the processor that tells it and writes it to a file.
func BenchmarkCapture(b *testing.B) {
	file, err := os.Create(b.TempDir() + "/x.pcapng")
	if err != nil {
		b.Fatal(err)
	}
	events := upload(b, 10000)
	began := func(b *testing.B) *recorder {
		file.Truncate(0)
		file.Seek(0, 0)
		w, err := pcapout.NewWriter(file, pcapout.PCAPNG, pcapout.Meta{})
		if err != nil {
			b.Fatal(err)
		}
		r := &recorder{narrator: explain.NewNarrator(language.English), capture: &capture{file: file, w: w}}
		r.narrator.Brief = true
		r.backlog = new(backlog)
		return r
	}
	b.Run("tap", func(b *testing.B) {
		r := began(b)
		tap := r.tap()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			tap(events[i%len(events)])
			if len(r.chunks) > 1 {
				r.queued, r.free, r.chunks = 0, append(r.free, r.chunks[0].octets[:0]), r.chunks[1:]
			}
		}
	})
	b.Run("tell", func(b *testing.B) {
		r := began(b)
		tap := r.tap()
		for _, e := range events {
			tap(e)
		}
		b.ReportAllocs()
		for told := 0; told < b.N; {
			b.StopTimer()
			s := began(b)
			b.StartTimer()
			for _, c := range r.chunks {
				s.work(c)
			}
			told += len(events)
		}
	})
}
