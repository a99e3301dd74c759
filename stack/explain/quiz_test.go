package explain

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/language"

	"rawnc/stack"
)

// The questions about the article, with what is right; each is explained by the
// log's own words.
func TestQuizOfArticle(t *testing.T) {
	var got []string
	quiz := &Quiz{}
	accounts, _ := article().tell()
	for _, a := range accounts {
		q := quiz.Ask(a)
		if q == nil {
			got = append(got, fmt.Sprintf("#%d nothing", a.Frame))
			continue
		}
		lines := strings.Split(strings.TrimSuffix(q.Text, "\n"), "\n")
		got = append(got, fmt.Sprintf("#%d %s %s", a.Frame, strings.TrimSpace(lines[len(lines)-1]), q.Answer))
		for _, why := range q.Why {
			if !strings.Contains(said(a), why) {
				t.Errorf("#%d: the log does not say %q", a.Frame, why)
			}
		}
		if len(q.Why) == 0 {
			t.Errorf("#%d: %q is not explained", a.Frame, q.Text)
		}
	}
	want := []string{
		"#1 Next: which number follows this segment, that is, Seq + Len, + 1 for a SYN, + 1 for a FIN? 1",
		"#2 Ack: which number does its sender expect next from the other side? 1",
		"#3 server: in which state is it after this segment? ESTABLISHED",
		"#4 Next: which number follows this segment, that is, Seq + Len, + 1 for a SYN, + 1 for a FIN? 11",
		"#5 Ack: which number does its sender expect next from the other side? 11",
		"#6 Seq: which number has the first byte of this segment? 11",
		"#7 Ack: which number does its sender expect next from the other side? 17",
		"#8 client: in which state is it after this segment? FIN-WAIT-1",
		"#9 Next: which number follows this segment, that is, Seq + Len, + 1 for a SYN, + 1 for a FIN? 2",
		"#10 Ack: which number does its sender expect next from the other side? 2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the questions (-want +got):\n%s", diff)
	}
}

// The segment is shown without what would tell the answer.
func TestQuizHides(t *testing.T) {
	quiz := &Quiz{Style: TextStyle{Level: 2}}
	accounts, _ := article().tell()
	for i, want := range map[int]string{
		0: "#1   0.000000 → SYN      Seq 0 (4216076034)  Len 0  Next ?",
		4: "#5   2.000800 ← ACK      Seq 1  Len 0  Next 1  Ack ?",
		5: "#6   5.001000 → PSH,ACK  Seq ?  Len 6  Next ?  Ack 1",
	} {
		q := quiz.number(accounts[i], []string{askNext, "", "", "", askAck, askSeq}[i])
		if !strings.HasPrefix(q.Text, want) {
			t.Errorf("#%d is shown as %q, want %q", i+1, q.Text, want)
		}
	}
}

func TestQuizMarks(t *testing.T) {
	accounts, _ := article().tell()
	number := (&Quiz{}).Ask(accounts[3]) // Next 11, 4216076045 on the wire
	state := (&Quiz{}).Ask(accounts[7])  // FIN-WAIT-1
	for _, test := range []struct {
		q      *Question
		answer string
		want   Mark
	}{
		{number, "11", Right},
		{number, " 11 ", Right},
		{number, "4,216,076,045", Right},
		{number, "12", Wrong},
		{number, "-11", NoAnswer},
		{number, "99999999999999999999", NoAnswer},
		{number, "eleven", NoAnswer},
		{number, "", NoAnswer},
		{number, "ESTABLISHED", NoAnswer},
		{state, "FIN-WAIT-1", Right},
		{state, "fin_wait 1", Right},
		{state, "FIN-WAIT-2", Wrong},
		{state, "FIN-WAIT", NoAnswer},
		{state, "11", NoAnswer},
		{state, "", NoAnswer},
	} {
		if got := test.q.Mark(test.answer); got != test.want {
			t.Errorf("%q for %s is marked %d, want %d", test.answer, test.q.Answer, got, test.want)
		}
	}
}

// Whoever is not told of a segment is not asked about it either: where the
// capture lacks what went before there is nothing to work out.
func TestQuizAsksWhatIsExplained(t *testing.T) {
	d := newDialogue()
	d.client(rst, 1, 0, "")
	accounts, _ := d.tell()
	quiz := &Quiz{}
	for _, a := range accounts {
		if q := quiz.Ask(a); q != nil && len(q.Why) == 0 {
			t.Errorf("%q is not explained", q.Text)
		}
	}
}

// A preview says what will be said, and leaves no trace.
func TestPreview(t *testing.T) {
	d := article()
	d.client(rst, 18, 0, "")
	plain, previewed := NewNarrator(language.English), NewNarrator(language.English)
	for i, in := range d.inputs {
		other := in
		other.Segment = &stack.Segment{Flags: fin | syn, Seq: 99, Options: in.Segment.Options}
		previewed.Preview(other) // what was then not sent
		preview := previewed.Preview(in)
		want, got := plain.Segment(in), previewed.Segment(in)
		if diff := cmp.Diff(string(JSON(want)), string(JSON(got))); diff != "" {
			t.Errorf("#%d after a preview (-without +with):\n%s", i+1, diff)
		}
		if preview.Frame != 0 {
			t.Errorf("#%d has the number %d before it is sent", i+1, preview.Frame)
		}
		if diff := cmp.Diff(said(got), said(preview)); diff != "" {
			t.Errorf("#%d in preview (-sent +preview):\n%s", i+1, diff)
		}
	}
	if diff := cmp.Diff(plain.End(clientAddr, serverAddr).Why, previewed.End(clientAddr, serverAddr).Why, cmp.AllowUnexported(Arg{})); diff != "" {
		t.Errorf("the summary after previews (-without +with):\n%s", diff)
	}
}

// What was done by hand is said.
func TestByHand(t *testing.T) {
	d := newDialogue()
	d.handshake()
	d.client(psh|ack, 1, 1, "hello").Live = &Live{Sent: true, Reason: stack.Reason{Kind: stack.ReasonData}, Dropped: true}
	made := &stack.Segment{Seq: d.clientISN.Add(1), Ack: d.serverISN.Add(1), Flags: psh | ack, Window: 502}
	d.client(fin|ack, 3, 2, "hello").Live = &Live{Sent: true, Reason: stack.Reason{Kind: stack.ReasonRetransmitTimeout, N: 1}, Edited: made}
	accounts, _ := d.tell()
	if a := accounts[3]; a.Frame != 0 || said(a) != "sent because the application wrote\ndropped by hand, as if the network had lost it: nothing crossed" {
		t.Errorf("dropped: #%d %s", a.Frame, said(a))
	}
	for _, want := range []string{
		"Seq was edited by hand: our stack had put 1 there",
		"Ack was edited by hand: our stack had put 1 there",
		"the flags were edited by hand: our stack had set PSH,ACK",
	} {
		if !strings.Contains(said(accounts[4]), want) {
			t.Errorf("edited: it lacks %q:\n%s", want, said(accounts[4]))
		}
	}
	if strings.Contains(said(accounts[4]), "window was edited") {
		t.Error("the window was not edited")
	}
}
