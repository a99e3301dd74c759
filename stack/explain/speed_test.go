package explain

import (
	"testing"
	"time"

	"golang.org/x/text/language"

	"rawnc/stack"
)

// bulk is a part of a large upload, told by our own stack: bursts of full
// segments, a few hundred in flight, and an ACK for every eight.
type bulk struct {
	seg   stack.Segment
	live  Live
	judge stack.Judgment
	in    Input
	sent  int
	acked int
	frame int
}

func newBulk() *bulk {
	k := &bulk{in: Input{Time: time.Date(2020, 5, 1, 12, 0, 0, 0, time.UTC), Checksum: stack.ChecksumValid}}
	k.in.Segment, k.in.Live = &k.seg, &k.live
	k.seg.Payload = make([]byte, 1448)
	return k
}

// next is the next segment.
func (k *bulk) next() Input {
	k.frame++
	k.in.Frame = k.frame
	k.in.Time = k.in.Time.Add(3 * time.Microsecond)
	k.seg.Options.HasTimestamps, k.seg.Options.TSVal, k.seg.Options.TSEcr = true, uint32(k.frame/300), 9000
	const window = 256
	switch client, server := k.sent*1448+1, 1; {
	case k.frame <= 2: // the SYNs
		k.in.Src, k.in.Dst = clientAddr, serverAddr
		k.seg.Flags, k.seg.Seq, k.seg.Ack = stack.SYN, 4216076034, 0
		if k.frame == 2 {
			k.in.Src, k.in.Dst = serverAddr, clientAddr
			k.seg.Flags, k.seg.Seq, k.seg.Ack = stack.SYN|stack.ACK, 1768531804, 4216076035
		}
		k.seg.Options.HasWindowScale, k.seg.Options.WindowScale, k.seg.Window = true, 7, 64240
		k.seg.Payload = k.seg.Payload[:0]
	case k.sent-k.acked < window || k.frame%9 != 0:
		k.in.Src, k.in.Dst = clientAddr, serverAddr
		k.seg.Flags, k.seg.Seq, k.seg.Ack = stack.ACK, stack.Seq(4216076034).Add(client), stack.Seq(1768531804).Add(server)
		k.seg.Options.HasWindowScale, k.seg.Window, k.seg.Payload = false, 501, k.seg.Payload[:1448]
		k.live = Live{Sent: true, Reason: stack.Reason{Kind: stack.ReasonData}, State: stack.StateEstablished}
		k.sent++
	default:
		k.acked += 8
		k.in.Src, k.in.Dst = serverAddr, clientAddr
		k.seg.Flags, k.seg.Seq, k.seg.Ack = stack.ACK, stack.Seq(1768531804).Add(server), stack.Seq(4216076034).Add(k.acked*1448+1)
		k.seg.Window, k.seg.Payload = 24576, k.seg.Payload[:0]
		k.live = Live{Verdict: &k.judge, State: stack.StateEstablished}
	}
	return k.in
}

// What the comment of a packet costs in the capture of a large upload.
func BenchmarkComment(b *testing.B) {
	for _, lang := range []language.Tag{language.English, language.Chinese} {
		b.Run(lang.String(), func(b *testing.B) {
			k, n := newBulk(), NewNarrator(lang)
			n.Brief = true
			var comment []byte
			var a Account
			b.ReportAllocs()
			for b.Loop() {
				n.SegmentInto(&a, k.next())
				comment = AppendComment(comment[:0], &a)
			}
		})
	}
}
