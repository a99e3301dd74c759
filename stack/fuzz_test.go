package stack_test

import (
	"fmt"
	"testing"
	"time"

	"rawnc/stack"
)

// A tape is the fuzzer's octets; at its end it gives zeros.
type tape []byte

func (p *tape) next() int {
	if len(*p) == 0 {
		return 0
	}
	b := (*p)[0]
	*p = (*p)[1:]
	return int(b)
}

// pick returns one of the choices.
func pick[T any](p *tape, of ...T) T { return of[p.next()%len(of)] }

// A trial is one Conn against whatever the fuzzer thinks of: segments, mostly
// near the edges of the windows, times and calls. After each step it checks
// what must always hold.
type trial struct {
	t             *testing.T
	c             *stack.Conn
	now           time.Time
	last          stack.Snapshot
	written, read int    // octets
	received      bool   // a segment, in this step
	buf           []byte // for Read
	log           []string
}

func (f *trial) fatalf(format string, args ...any) {
	f.t.Helper()
	for _, line := range f.log {
		f.t.Log(line)
	}
	f.t.Fatalf(format, args...)
}

// octets is what the stream of an end contains at a sequence number.
func octets(at stack.Seq, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		p := uint32(at.Add(i)) * 2654435761
		b[i] = byte(p >> 24)
	}
	return b
}

// RFC5681-4.2-b, SHLD-14, and all that Check and check look at.
func FuzzConn(f *testing.F) {
	for _, seed := range []string{
		"", "\x00\x00\x07\x07\x07\x02\x20\x07", "\x03\x01\x00\x01\x00\x00\x00\x00\x00\x00",
		"\x00\x0f\x07\x02\xff\x07\x05\x07\x07\x07", "\x01\x0f\x07\x07\x02\x80\x02\xff\x06\x06\x07\x04\x07\x07",
	} {
		f.Add([]byte(seed))
	}
	for seed := range uint64(100) {
		f.Add(random(seed, 500)) // deep enough for every state
	}
	f.Fuzz(runTape)
}

func runTape(t *testing.T, data []byte) {
	p := tape(data)
	passive, mix := p.next()%2 == 1, p.next()
	sizes := []int{1, 700, 3000, 20000}
	cfg := stack.Config{
		ISS: iss, SendBuffer: pick(&p, sizes...), ReceiveBuffer: pick(&p, append(sizes, 70000)...),
		MSS:          pick(&p, 0, 48, 536),
		NoTimestamps: mix&1 != 0, NoSACK: mix&2 != 0, NoWindowScale: mix&4 != 0, NoDelay: mix&8 != 0, IPv6: mix&16 != 0,
		UserTimeout: time.Minute,
	}
	more := p.next()
	cfg.ECN, cfg.Congestion = more&1 != 0, stack.Congestion(more>>1&1)
	if mix&32 != 0 {
		cfg.KeepAlive, cfg.KeepAliveIdle, cfg.KeepAliveCount = true, 5*time.Second, 2
	}
	if mix&128 != 0 {
		cfg.UserTimeoutOption = true
	}
	if mix&64 != 0 {
		cfg.DelayedACK = -1
	}
	if mix&128 != 0 {
		cfg.Congestion = stack.NewReno
	}
	x := &trial{t: t, c: stack.New(cfg), now: start}
	x.last = x.c.Snapshot()
	if passive {
		x.c.Listen(ourPort)
	} else {
		x.c.Open(x.now, ourPort, peerPort)
	}
	x.check()
	for range 400 {
		if len(p) == 0 {
			break
		}
		x.step(&p)
		x.check()
	}
	x.end()
}

// step does one thing.
func (f *trial) step(p *tape) {
	switch op := p.next() % 10; op {
	case 0, 1, 2:
		f.receive(f.segment(p))
	case 3: // what a well-behaved peer would send
		f.receive(f.politeSegment(p))
	case 4:
		n := pick(p, 0, 1, 10, 536, 5000, 100000)
		write := f.c.Write
		if p.next()%8 == 7 {
			write = f.c.WriteUrgent
		}
		f.note("write %d", n)
		if got, err := write(f.now, octets(iss.Add(1+f.written), n)); err == nil {
			f.written += got
		}
	case 5:
		f.readSome(pick(p, 1, 10, 1000, 1<<20))
	case 6:
		f.note("advance")
		f.now = f.now.Add(pick(p, 0, 1, ms, 50*ms, time.Second, time.Minute))
		f.c.Advance(f.now)
	case 7:
		f.note("the next deadline")
		f.deadline()
	case 8:
		switch p.next() % 16 {
		case 7:
			f.note("adjust")
			f.c.Adjust(func(cfg *stack.Config) {
				cfg.Cork, cfg.NoDelay, cfg.KeepAlive = p.next()%2 == 0, p.next()%2 == 0, p.next()%2 == 0
				cfg.UserTimeout = pick(p, time.Minute, 0, time.Hour)
			})
		case 0, 1, 2, 3:
			f.note("close write")
			f.c.CloseWrite(f.now)
		case 4, 5:
			f.note("close")
			f.c.Close(f.now)
		case 6:
			f.note("abort")
			f.c.Abort(f.now)
		}
	case 9:
		f.note("ICMP")
		f.c.ICMP(f.now, &stack.ICMPError{
			Kind: stack.ICMPKind(p.next() % 9), MTU: pick(p, 0, 68, 576, 1280, 9000), Size: pick(p, 0, 0, 500, 1500),
			Seq: pick(p, f.last.SndUna, f.last.SndNxt, 0).Add(pick(p, 0, -1, 1)),
		})
	}
}

func (f *trial) note(format string, args ...any) {
	f.log = append(f.log, logLine(f.now, f.c, format, args...))
}

// segment is hostile.
func (f *trial) segment(p *tape) *stack.Segment {
	s := f.last
	if s.State <= stack.StateSynSent {
		s.RcvNxt = irs
	}
	seg := &stack.Segment{SrcPort: peerPort, DstPort: ourPort}
	seg.Flags = pick(p, stack.ACK, stack.ACK, stack.ACK, stack.ACK|stack.PSH, stack.FIN|stack.ACK, stack.SYN, stack.SYN|stack.ACK,
		stack.RST, stack.RST|stack.ACK, stack.FIN, 0, stack.URG|stack.ACK, stack.SYN|stack.FIN, stack.Flags(255))
	seg.Seq = pick(p, s.RcvNxt, s.RcvNxt, s.RcvNxt.Add(s.RcvWnd), s.IRS, s.RcvNxt.Add(s.RcvWnd/2), s.RcvNxt+1<<31).
		Add(pick(p, 0, 0, 1, -1, 2, -2, 10, -10, 1000, -1000))
	seg.Ack = pick(p, s.SndNxt, s.SndNxt, s.SndUna, s.SndUna.Add((s.Flight+1)/2), s.SndUna.Add(-s.MaxSndWnd), s.SndNxt+1<<31).
		Add(pick(p, 0, 0, 0, 1, -1, 2, -2, 700))
	seg.Window = pick(p, uint16(65535), 0, 1, 10, 1000, 30000)
	if seg.Flags.Has(stack.URG) {
		seg.Urgent = pick(p, uint16(0), 1, 10, 65535)
	}
	seg.Payload = octets(seg.Seq.Add(synLen(seg)), pick(p, 0, 0, 1, 2, 10, 536, 1460, 60000))
	f.options(p, seg)
	f.marks(p, seg)
	return seg
}

func synLen(seg *stack.Segment) int {
	if seg.Flags.Has(stack.SYN) {
		return 1
	}
	return 0
}

// politeSegment acknowledges everything and brings what is expected.
func (f *trial) politeSegment(p *tape) *stack.Segment {
	s := f.last
	seg := &stack.Segment{SrcPort: peerPort, DstPort: ourPort, Flags: stack.ACK, Seq: s.RcvNxt, Ack: s.SndNxt, Window: 60000}
	switch s.State {
	case stack.StateListen:
		seg.Flags, seg.Seq, seg.Ack = stack.SYN, irs, 0
	case stack.StateSynSent:
		seg.Flags, seg.Seq = stack.SYN|stack.ACK, irs
	default:
		seg.Payload = octets(seg.Seq, pick(p, 0, 1, 100, 1000))
		if p.next()%8 == 7 {
			seg.Flags |= stack.FIN
		}
	}
	f.options(p, seg)
	f.marks(p, seg)
	return seg
}

// marks are those of ECN.
func (f *trial) marks(p *tape, seg *stack.Segment) {
	seg.ECN = stack.ECN(p.next() & 3)
	seg.Flags |= pick(p, 0, 0, stack.ECE, stack.CWR, stack.ECE|stack.CWR)
}

func (f *trial) options(p *tape, seg *stack.Segment) {
	s, o := f.last, &seg.Options
	if seg.Flags.Has(stack.SYN) {
		o.MSS = pick(p, uint16(1460), 0, 1, 100, 65535)
		o.SACKPermitted = p.next()%2 == 0
		if p.next()%2 == 0 {
			o.HasWindowScale, o.WindowScale = true, pick(p, uint8(0), 3, 14, 255)
		}
		o.HasTimestamps = p.next()%2 == 0
	} else {
		o.HasTimestamps = s.Timestamps && p.next()%8 != 7
	}
	if o.HasTimestamps {
		o.TSVal = uint32(f.now.UnixMilli()) + pick(p, uint32(0), 0, 0, 1, 1<<31, 1<<32-1)
		o.TSEcr = uint32(f.now.UnixMilli()) - pick(p, uint32(0), 10, 1000, 1<<31)
	}
	o.UserTimeout = pick(p, uint16(0), 0, 0, 60, 0x8000|60)
	for range p.next() % 5 {
		left := pick(p, s.SndUna, s.SndUna.Add(s.Flight/2), s.SndNxt).Add(pick(p, 0, 1, -1, 536, -536, 1460))
		o.SACK[o.SACKCount] = stack.SACKBlock{Left: left, Right: left.Add(pick(p, 536, 1, 0, -5, 1460, 2920, 1<<30))}
		o.SACKCount++
		if o.SACKCount == len(o.SACK) {
			break
		}
	}
}

func (f *trial) receive(seg *stack.Segment) {
	f.received = true
	s := f.last
	f.note("receive %v seq %d ack %d len %d win %d %+v", seg.Flags, seg.Seq.Sub(s.RcvNxt), seg.Ack.Sub(s.SndUna), len(seg.Payload), seg.Window, seg.Options)
	f.c.Receive(f.now, seg)
}

func (f *trial) readSome(n int) {
	f.note("read %d", n)
	if n > len(f.buf) {
		f.buf = make([]byte, n)
	}
	b := f.buf[:n]
	if n, _ = f.c.Read(f.now, b); n == 0 {
		f.c.Await(b)
	}
	if want := octets(f.c.Snapshot().IRS.Add(1+f.read), n); string(b[:n]) != string(want) {
		f.fatalf("octets %d to %d are not those that arrived", f.read, f.read+n)
	}
	f.read += n
}

// deadline jumps to the next timer and reports whether there was one.
func (f *trial) deadline() bool {
	at, ok := f.c.Deadline()
	if ok {
		if at.After(f.now) {
			f.now = at
		}
		f.c.Advance(f.now)
	}
	return ok
}

// check takes what the Conn sends and says what is wrong.
func (f *trial) check() {
	f.t.Helper()
	first, bare, payload := f.c.Snapshot(), 0, 0
	for n := 0; ; n++ {
		before := f.c.Snapshot()
		var seg stack.Segment
		why, ok := f.c.Next(f.now, &seg)
		if !ok || n < 10 { // not each time: it looks at everything
			if err := f.c.Check(); err != nil {
				f.fatalf("%v", err)
			}
		}
		if !ok {
			break
		}
		f.log = append(f.log, logLine(f.now, f.c, "  send %v seq %d ack %d len %d win %d, reason %d/%d", seg.Flags, seg.Seq.Sub(iss), seg.Ack.Sub(before.IRS),
			len(seg.Payload), seg.Window, why.Kind, why.N))
		f.sent(before, &seg, why)
		if payload += len(seg.Payload); seg.Len() == 0 {
			bare++
		}
		if n > 20000 { // of single octets, at most what the buffer holds
			f.fatalf("the Conn never stops sending")
		}
	}
	now := f.c.Snapshot()
	// A segment in, and how much out: one bare ACK at most, and what the congestion
	// window allows, with a segment for each of the exceptions to it.
	if f.received && bare > 1 {
		f.fatalf("%d bare segments answer one", bare)
	}
	if most := max(first.Cwnd, now.Cwnd) + 4*1460; payload > most {
		f.fatalf("%d octets at once, cwnd is %d and was %d", payload, now.Cwnd, first.Cwnd)
	}
	f.received = false
	switch {
	case now.State == stack.StateListen, f.last.State <= stack.StateSynSent:
		if now.State == stack.StateListen {
			f.written = 0
		}
	case now.State == stack.StateClosed:
	case now.RcvNxt.Less(f.last.RcvNxt):
		f.fatalf("RCV.NXT went back by %d", f.last.RcvNxt.Sub(now.RcvNxt))
	case now.SndUna.Less(f.last.SndUna):
		f.fatalf("SND.UNA went back by %d", f.last.SndUna.Sub(now.SndUna))
	case now.RcvNxt.Add(now.RcvWnd).Less(f.last.RcvNxt.Add(f.last.RcvWnd)):
		f.fatalf("the right edge of the window went back")
	case now.Cwnd < 0 || now.Ssthresh < 0 || now.State.Synchronized() && now.Cwnd == 0:
		f.fatalf("cwnd %d, ssthresh %d", now.Cwnd, now.Ssthresh)
	}
	if at, ok := f.c.Deadline(); ok && at.Before(f.now) && now.State != stack.StateClosed {
		// A timer may be late, but not come back when it has done its work.
		for range 100 {
			if !f.deadline() {
				break
			}
			if at, _ := f.c.Deadline(); at.After(f.now) {
				break
			}
			for {
				var seg stack.Segment
				if _, ok := f.c.Next(f.now, &seg); !ok {
					break
				}
			}
		}
		if at, ok := f.c.Deadline(); ok && at.Before(f.now) {
			f.fatalf("a timer keeps coming back")
		}
	}
	f.last = f.c.Snapshot()
}

// sent checks a segment that the Conn sends.
func (f *trial) sent(before stack.Snapshot, seg *stack.Segment, why stack.Reason) {
	f.t.Helper()
	if before.State == stack.StateClosed && !seg.Flags.Has(stack.RST) {
		f.fatalf("CLOSED sends %v", seg.Flags)
	}
	if seg.Flags.Has(stack.SYN) && before.State != stack.StateSynSent && before.State != stack.StateSynReceived {
		f.fatalf("a SYN in %v", before.State)
	}
	if edge := before.SndUna.Add(before.SndWnd); why.Kind != stack.ReasonWindowProbe && seg.Len() > 0 &&
		before.State.Synchronized() && edge.Less(seg.Next()) {
		f.fatalf("sent %d beyond the window", seg.Next().Sub(edge))
	}
	if n := len(seg.Payload); n > 0 {
		if n > before.SendMSS && (why.Kind != stack.ReasonPathProbe || why.N <= before.PathMTU) {
			f.fatalf("%d octets in a segment of %d", n, before.SendMSS)
		}
		if string(seg.Payload) != string(octets(seg.Seq, n)) {
			f.fatalf("the octets from %d on are not those that were written", seg.Seq.Sub(iss))
		}
	}
	if why.Kind == stack.ReasonNone {
		f.fatalf("%v without a reason", seg.Flags)
	}
}

// end closes and lets time pass: whatever came before, the connection ends.
func (f *trial) end() {
	f.note("the end")
	f.c.Close(f.now)
	f.check()
	for range 1000 {
		if !f.deadline() {
			break
		}
		f.check()
	}
	if s := f.c.State(); s != stack.StateClosed {
		at, ok := f.c.Deadline()
		f.fatalf("closed, and the peer silent: still in %v, deadline %v %v", s, at.Sub(f.now), ok)
	}
	f.readSome(1 << 20)
}

func logLine(now time.Time, c *stack.Conn, format string, args ...any) string {
	return fmt.Sprintf("%12v %-12v ", now.Sub(start), c.State()) + fmt.Sprintf(format, args...)
}
