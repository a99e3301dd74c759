package fault_test

import (
	"errors"
	"testing"
	"time"

	"rawnc/stack"
	"rawnc/stack/fault"
)

const iss = stack.Seq(1<<32 - 5) // so that relative numbers cross the wrap

func segment(flags stack.Flags, rel, octets int) *stack.Segment {
	return &stack.Segment{Flags: flags, Seq: iss.Add(rel), Payload: make([]byte, octets)}
}

// sent is what the client sends in every test: a handshake, three segments of
// ten octets, the second of them twice, and a FIN.
var sent = []*stack.Segment{
	segment(stack.SYN, 0, 0),
	segment(stack.ACK, 1, 0),
	segment(stack.PSH|stack.ACK, 1, 10),
	segment(stack.ACK, 11, 10),
	segment(stack.ACK, 21, 10),
	segment(stack.ACK, 11, 10),
	segment(stack.FIN|stack.ACK, 31, 0),
}

// hits are the segments, by their places in sent, that a rule does something to.
func hits(t *testing.T, rule string, random func() float64) (list []int) {
	t.Helper()
	r, err := fault.Parse(rule)
	if err != nil {
		t.Fatalf("%q: %v", rule, err)
	}
	var rules fault.Rules
	rules.Add(r)
	for i, seg := range sent {
		if rules.Fate(fault.Client, seg, random) != (fault.Fate{}) {
			list = append(list, i)
		}
		if f := rules.Fate(fault.Server, seg, random); f != (fault.Fate{}) {
			t.Errorf("%q hits what the server sends", rule)
		}
	}
	return list
}

func TestPatterns(t *testing.T) {
	for rule, want := range map[string][]int{
		"drop client SYN":                      {0},
		"drops client segment 1":               {0},
		"drop out segments":                    {0, 1, 2, 3, 4, 5, 6},
		"drop client data 2":                   {3},
		"drop client data 2-3":                 {3, 4},
		"drop client data 1,3-4":               {2, 4, 5},
		"drop client data at seq 11":           {3, 5},
		"drop client data at seq 11 2":         {5},
		"drop client retransmission":           {5},
		"drop client ACK":                      {1},
		"drop client FIN 1":                    {6},
		"drop client segments every 3":         {2, 5},
		"drop client RST":                      nil,
		"drop client SYN,ACK":                  nil,
		"duplicate client data 1":              {2},
		"corrupt client data 1":                {2},
		"delay client data 1 by 5ms":           {2},
		"reject client SYN with time-exceeded": {0},
	} {
		got := hits(t, rule, func() float64 { panic("nothing is left to chance") })
		if len(got) != len(want) {
			t.Errorf("%q hits %v, want %v", rule, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%q hits %v, want %v", rule, got, want)
			}
		}
	}
}

func TestChance(t *testing.T) {
	if got := hits(t, "drop 25% of client data", func() float64 { return 0.2 }); len(got) != 4 {
		t.Errorf("a number below the share: hits %v, want all data", got)
	}
	if got := hits(t, "drop 25% of client data", func() float64 { return 0.25 }); len(got) != 0 {
		t.Errorf("a number not below the share: hits %v, want none", got)
	}
}

// Several rules may hit one segment, and each does its work.
func TestFate(t *testing.T) {
	var rules fault.Rules
	for _, text := range []string{"delay client SYN by 5ms", "delay client SYN by 1s", "corrupt client SYN", "duplicate client SYN"} {
		r, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		rules.Add(r)
	}
	want := fault.Fate{Delay: 1005 * time.Millisecond, Corrupt: true, Copies: 1}
	if got := rules.Fate(fault.Client, sent[0], nil); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A message names the column and what would have been right.
func TestSyntaxErrors(t *testing.T) {
	for rule, want := range map[string]string{
		"":                           `column 1: expected drop, duplicate, delay, corrupt, mark or reject, found the end of the line`,
		"lose out data":              `column 1: expected drop, duplicate, delay, corrupt, mark or reject, found "lose"`,
		"drop data 2":                `column 6: expected client or server (on a live link: out or in), found "data"`,
		"drop out datum":             `column 10: expected segment, SYN, SYN,ACK, ACK, data, FIN, RST or retransmission, found "datum"`,
		"drop out data 0":            `column 15: expected numbers from 1 such as 2 or 1-3,7, found "0"`,
		"drop out data 2 3":          `column 17: expected the end of the line, found "3"`,
		"drop 120% of out data":      `column 6: expected a share such as 2% or 0.5%, found "120%"`,
		"drop 2% out data":           `column 9: expected of, found "out"`,
		"delay out data 2":           `column 17: expected by, found the end of the line`,
		"delay out data 2 by 5 ms":   `column 21: expected a time such as 10ms, 1.5s or 2m, found "5"`,
		"drop out data at seq x":     `column 22: expected a sequence number counted from the SYN's, a whole number from 0 to 4294967295, found "x"`,
		`drop "out`:                  `column 6: expected text between " and ", with Go's escapes, found "out`,
		"drop out data every 0":      `column 21: expected a count, a whole number from 1 to 1000000000, found "0"`,
		"drop out Überraschung data": `column 10: expected segment, SYN, SYN,ACK, ACK, data, FIN, RST or retransmission, found "Überraschung"`,
		"drop 1% of Ünser data":      `column 12: expected client or server (on a live link: out or in), found "Ünser"`,
	} {
		_, err := fault.Parse(rule)
		var syntax *fault.SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", rule, err, want)
		}
	}
}
