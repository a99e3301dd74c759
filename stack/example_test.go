package stack_test

import (
	"fmt"
	"time"

	"rawnc/stack"
)

// A connection driven by hand: the clock, the numbers and the peer's segments are
// the caller's.
func ExampleConn() {
	now := time.Date(2020, 3, 1, 12, 0, 0, 0, time.UTC)
	start := now
	c := stack.New(stack.Config{
		ISS: 1000, ReceiveBuffer: 20000, SendMSS: 500, NoTimestamps: true,
		InitialRTO: time.Second, MinRTO: 200 * time.Millisecond,
	})
	c.Open(now, 50000, 80)

	// After every call: what is there to send, and why?
	sent := func() {
		var seg stack.Segment
		for {
			why, ok := c.Next(now, &seg)
			if !ok {
				return
			}
			fmt.Printf("%4v > %-7v seq %d ack %d win %d %q", now.Sub(start).Milliseconds(), seg.Flags, seg.Seq, seg.Ack, seg.Window, seg.Payload)
			if why.Kind == stack.ReasonRetransmitTimeout {
				fmt.Printf(" timeout %d", why.N)
			}
			fmt.Println()
		}
	}
	// Time passes from deadline to deadline.
	wait := func(d time.Duration) {
		until := now.Add(d)
		for at, ok := c.Deadline(); ok && !at.After(until); at, ok = c.Deadline() {
			now = at
			c.Advance(now)
			sent()
		}
		now = until
	}
	arrives := func(seg stack.Segment) {
		seg.SrcPort, seg.DstPort, seg.Window = 80, 50000, 8000
		c.Receive(now, &seg)
		sent()
	}

	sent()
	wait(1100 * time.Millisecond) // the SYN was lost
	arrives(stack.Segment{Flags: stack.SYN | stack.ACK, Seq: 7000, Ack: 1001, Options: stack.Options{MSS: 1460}})
	c.Write(now, []byte("hello"))
	sent()
	wait(100 * time.Millisecond)
	arrives(stack.Segment{Flags: stack.ACK | stack.FIN, Seq: 7001, Ack: 1006, Payload: []byte("bye")})
	b := make([]byte, 10)
	n, err := c.Read(now, b)
	fmt.Printf("read %q, %v\n", b[:n], err)

	s := c.Snapshot()
	fmt.Println(s.State, "SRTT", s.SRTT, "RTO", s.RTO, "SND.UNA", s.SndUna, "RCV.NXT", s.RcvNxt, "cwnd", s.Cwnd)
	c.Close(now)
	sent()
	arrives(stack.Segment{Flags: stack.ACK, Seq: 7005, Ack: 1007})
	fmt.Println(c.State(), c.Err())

	// Output:
	//    0 > SYN     seq 1000 ack 0 win 20000 ""
	// 1000 > SYN     seq 1000 ack 0 win 20000 "" timeout 1
	// 1100 > ACK     seq 1001 ack 7001 win 20000 ""
	// 1100 > PSH,ACK seq 1001 ack 7001 win 20000 "hello"
	// 1200 > ACK     seq 1006 ack 7005 win 19996 ""
	// read "bye", <nil>
	// CLOSE-WAIT SRTT 100ms RTO 300ms SND.UNA 1006 RCV.NXT 7005 cwnd 500
	// 1200 > FIN,ACK seq 1006 ack 7005 win 19996 ""
	// CLOSED <nil>
}
