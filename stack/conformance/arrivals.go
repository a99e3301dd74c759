package conformance

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"rawnc/stack"
)

//go:embed arrivals.txt
var arrivals string

// An Arrival is a segment that arrives in a state, and what must come of it:
// a place in the table of arrivals.txt, whose words these are.
type Arrival struct {
	In        string
	What, Seq string
	Answer    string
	Next      string
}

// States are those of the table.
var States = map[string]stack.State{
	"C": stack.StateClosed, "L": stack.StateListen, "SS": stack.StateSynSent,
	"SR": stack.StateSynReceived, "SA": stack.StateSynReceived, "E": stack.StateEstablished,
	"F1": stack.StateFinWait1, "F2": stack.StateFinWait2, "CW": stack.StateCloseWait,
	"CG": stack.StateClosing, "LA": stack.StateLastAck, "TW": stack.StateTimeWait,
}

// Arrivals is the table. Suites that drive a stack in virtual time, or on a wire, go
// through it alike.
func Arrivals() (all []Arrival) {
	var states []string
	for line := range strings.Lines(arrivals) {
		row := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case states == nil:
			states = row
			continue
		}
		for i, in := range states {
			a := Arrival{In: in, What: row[0], Seq: row[1], Answer: row[2+i], Next: in}
			if answer, next, ok := strings.Cut(a.Answer, ">"); ok {
				a.Answer, a.Next = answer, next
			}
			all = append(all, a)
		}
	}
	return all
}

func (a *Arrival) String() string { return fmt.Sprintf("%s in %s at %s", a.What, a.In, a.Seq) }

// Segment is the segment, for a connection with these variables.
func (a *Arrival) Segment(at *stack.Snapshot) stack.Segment {
	seg := stack.Segment{SrcPort: at.RemotePort, DstPort: at.LocalPort, Window: 60000}
	offset, edge := strings.CutPrefix(a.Seq, "edge")
	n, _ := strconv.Atoi(offset) // or nothing
	if edge {
		n += at.RcvWnd
	}
	seg.Seq = at.RcvNxt.Add(n)
	for part := range strings.SplitSeq(a.What, ",") {
		name, beside, _ := strings.Cut(strings.TrimSuffix(part, ")"), "(")
		switch name {
		case "data":
			seg.Payload = []byte("hello")
		case "URG":
			seg.Urgent = 1
		case "ACK":
			n, _ := strconv.Atoi(beside) // or nothing
			if seg.Ack = at.SndNxt.Add(n); beside == "una" {
				seg.Ack = at.SndUna
			}
		}
		for i, flag := range stack.Flags(255).Names() {
			if flag == name {
				seg.Flags |= 1 << i
			}
		}
	}
	return seg
}

// Check compares what was sent for the segment, to a connection with these variables
// before, with what had to be.
func (a *Arrival) Check(at *stack.Snapshot, seg *stack.Segment, sent []stack.Segment) error {
	var want stack.Segment
	switch a.Answer {
	case "-":
	case "A":
		want = stack.Segment{Seq: at.SndNxt, Ack: at.RcvNxt, Flags: stack.ACK}
	case "A+", "d":
		want = stack.Segment{Seq: at.SndNxt, Ack: seg.Next(), Flags: stack.ACK}
	case "S":
		want = stack.Segment{Seq: at.ISS, Ack: seg.Seq.Add(1), Flags: stack.SYN | stack.ACK}
	case "R":
		want = stack.Segment{Seq: seg.Ack, Flags: stack.RST}
	case "RA":
		want = stack.Segment{Ack: seg.Next(), Flags: stack.RST | stack.ACK}
	default:
		return fmt.Errorf("arrivals.txt: what is %q?", a.Answer)
	}
	var got stack.Segment
	if len(sent) > 0 {
		got = sent[0]
	}
	if len(sent) > 1 || got.Flags != want.Flags || got.Seq != want.Seq || got.Ack != want.Ack || len(got.Payload) > 0 {
		return fmt.Errorf("%v: expected %s, <%v seq %d ack %d>, actual %d segments, <%v seq %d ack %d len %d>",
			a, a.Answer, want.Flags, want.Seq, want.Ack, len(sent), got.Flags, got.Seq, got.Ack, len(got.Payload))
	}
	return nil
}
