package explain

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/language"

	"rawnc/stack"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	syn = stack.SYN
	ack = stack.ACK
	fin = stack.FIN
	psh = stack.PSH
	rst = stack.RST
)

var (
	clientAddr = netip.MustParseAddrPort("192.168.1.7:51000")
	serverAddr = netip.MustParseAddrPort("120.77.204.248:8113")
)

// A dialogue is a conversation as a test writes it down: numbers are relative,
// and every segment comes some time after the one before.
type dialogue struct {
	clientISN, serverISN stack.Seq
	inputs               []Input
	now                  time.Time
}

// newDialogue begins a dialogue with the initial sequence numbers of the article.
func newDialogue() *dialogue {
	return &dialogue{
		clientISN: 4216076034, serverISN: 1768531804,
		now: time.Date(2020, 5, 1, 12, 0, 0, 0, time.UTC),
	}
}

func (d *dialogue) wait(after time.Duration) *dialogue {
	d.now = d.now.Add(after)
	return d
}

func (d *dialogue) client(flags stack.Flags, seq, ack int, payload string) *Input {
	return d.add(clientAddr, serverAddr, flags, d.clientISN.Add(seq), d.serverISN.Add(ack), payload)
}

func (d *dialogue) server(flags stack.Flags, seq, ack int, payload string) *Input {
	return d.add(serverAddr, clientAddr, flags, d.serverISN.Add(seq), d.clientISN.Add(ack), payload)
}

func (d *dialogue) add(src, dst netip.AddrPort, flags stack.Flags, seq, ackNo stack.Seq, payload string) *Input {
	d.wait(200 * time.Microsecond)
	seg := &stack.Segment{Seq: seq, Flags: flags, Window: 502, Payload: []byte(payload)}
	if flags.Has(ack) {
		seg.Ack = ackNo
	}
	if flags.Has(syn) {
		seg.Window = 64240
		seg.Options = stack.Options{
			MSS: 1460, SACKPermitted: true, HasWindowScale: true, WindowScale: 7,
			HasTimestamps: true, TSVal: 1000,
		}
	}
	d.inputs = append(d.inputs, Input{Time: d.now, Src: src, Dst: dst, Segment: seg, Checksum: stack.ChecksumValid})
	return &d.inputs[len(d.inputs)-1]
}

func (d *dialogue) handshake() {
	d.client(syn, 0, 0, "")
	d.server(syn|ack, 0, 1, "")
	d.client(ack, 1, 1, "")
}

// tell has the dialogue explained.
func (d *dialogue) tell() ([]*Account, *Summary) {
	n := NewNarrator(language.English)
	var accounts []*Account
	for _, in := range d.inputs {
		accounts = append(accounts, n.Segment(in))
	}
	return accounts, n.End(clientAddr, serverAddr)
}

// said are the sentences of an account.
func said(a *Account) string { return Comment(a) }

// article is the conversation of the article that rawnc began from.
func article() *dialogue {
	d := newDialogue()
	d.handshake()
	d.wait(2*time.Second).client(psh|ack, 1, 1, "hello2020\n")
	d.server(ack, 1, 11, "")
	d.wait(3*time.Second).client(psh|ack, 11, 1, "world\n")
	d.server(ack, 1, 17, "")
	d.wait(time.Second).client(fin|ack, 17, 1, "")
	d.server(fin|ack, 1, 18, "")
	d.client(ack, 18, 2, "")
	return d
}

func TestArticleNumbers(t *testing.T) {
	type row struct {
		Frame                   int
		Flags                   string
		Seq, Ack, Next          uint32
		SeqRaw, AckRaw, NextRaw stack.Seq
		Len, Window             int
		AcksFrame, InFlight     int
		Client, Server          string
	}
	want := []row{
		{1, "SYN", 0, 0, 1, 4216076034, 0, 4216076035, 0, 64240, 0, 0, "SYN-SENT", "?"},
		{2, "SYN,ACK", 0, 1, 1, 1768531804, 4216076035, 1768531805, 0, 64240, 1, 0, "ESTABLISHED", "SYN-RECEIVED"},
		{3, "ACK", 1, 1, 1, 4216076035, 1768531805, 4216076035, 0, 64256, 2, 0, "ESTABLISHED", "ESTABLISHED"},
		{4, "PSH,ACK", 1, 1, 11, 4216076035, 1768531805, 4216076045, 10, 64256, 0, 10, "ESTABLISHED", "ESTABLISHED"},
		{5, "ACK", 1, 11, 1, 1768531805, 4216076045, 1768531805, 0, 64256, 4, 0, "ESTABLISHED", "ESTABLISHED"},
		{6, "PSH,ACK", 11, 1, 17, 4216076045, 1768531805, 4216076051, 6, 64256, 0, 6, "ESTABLISHED", "ESTABLISHED"},
		{7, "ACK", 1, 17, 1, 1768531805, 4216076051, 1768531805, 0, 64256, 6, 0, "ESTABLISHED", "ESTABLISHED"},
		{8, "FIN,ACK", 17, 1, 18, 4216076051, 1768531805, 4216076052, 0, 64256, 0, 0, "FIN-WAIT-1", "CLOSE-WAIT"},
		{9, "FIN,ACK", 1, 18, 2, 1768531805, 4216076052, 1768531806, 0, 64256, 8, 0, "TIME-WAIT", "LAST-ACK"},
		{10, "ACK", 18, 2, 18, 4216076052, 1768531806, 4216076052, 0, 64256, 9, 0, "TIME-WAIT", "CLOSED"},
	}
	state := func(s State) string {
		if !s.Known {
			return "?"
		}
		return s.String()
	}
	accounts, _ := article().tell()
	var got []row
	for _, a := range accounts {
		r := row{a.Frame, a.Flags.String(), a.Seq.Rel, a.Ack.Rel, a.Next.Rel, a.Seq.Raw, a.Ack.Raw, a.Next.Raw,
			len(a.Payload), a.Window, a.AcksFrame, a.BytesInFlight, state(a.SrcState), state(a.DstState)}
		if a.Src == serverAddr {
			r.Client, r.Server = r.Server, r.Client
		}
		got = append(got, r)
		if len(a.Analysis) > 0 || a.Problem() {
			t.Errorf("#%d: nothing is unusual in the article, but: %v\n%s", a.Frame, a.Analysis, said(a))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The golden files hold whole conversations in words, to be read by people.
func TestGolden(t *testing.T) {
	for _, test := range []struct {
		name     string
		dialogue *dialogue
	}{
		{"article", article()},
		{"four-segment-close", fourSegmentClose()},
		{"simultaneous-close", simultaneousClose()},
		{"retransmission", retransmission()},
		{"refused", refused()},
		{"reset", resetInTheMiddle()},
		{"wrap", wrap()},
		{"no-handshake", withoutHandshake()},
		{"closed-window", closedWindow()},
		{"live", live()},
	} {
		accounts, summary := test.dialogue.tell()
		var text, full, json strings.Builder
		for _, a := range accounts {
			text.WriteString(TextStyle{Level: 1, Width: 100}.Format(a))
			full.WriteString(TextStyle{Level: 2, Width: 100}.Format(a))
			json.Write(JSON(a))
		}
		text.WriteString(TextStyle{Level: 1, Width: 100}.Summary(summary))
		golden(t, test.name+".txt", text.String())
		if test.name == "article" {
			golden(t, "article.full.txt", full.String())
			golden(t, "article.json", json.String())
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got:\n%s\n(go test ./stack/explain -update writes it anew)", name, diff)
	}
}

func fourSegmentClose() *dialogue {
	d := newDialogue()
	d.handshake()
	d.client(fin|ack, 1, 1, "")
	d.wait(40*time.Millisecond).server(ack, 1, 2, "") // the delayed ACK ran out
	d.server(psh|ack, 1, 2, "bye\n")                  // it may still send
	d.client(ack, 2, 5, "")
	d.wait(time.Second).server(fin|ack, 5, 2, "")
	d.client(ack, 2, 6, "")
	return d
}

func simultaneousClose() *dialogue {
	d := newDialogue()
	d.handshake()
	d.client(fin|ack, 1, 1, "")
	d.server(fin|ack, 1, 1, "") // left before the client's FIN arrived
	d.client(ack, 2, 2, "")
	d.server(ack, 2, 2, "")
	return d
}

func retransmission() *dialogue {
	d := newDialogue()
	d.handshake()
	d.client(psh|ack, 1, 1, "lost on the way\n")
	d.wait(204*time.Millisecond).client(psh|ack, 1, 1, "lost on the way\n")
	d.server(ack, 1, 17, "")
	for i := range 4 {
		d.client(psh|ack, 17+4*i, 1, "abc\n")
	}
	gap := d.inputs[len(d.inputs)-4:]
	d.inputs = append(d.inputs[:len(d.inputs)-4], gap[1:]...) // the first of them was lost before it got here
	for range 3 {
		d.server(ack, 1, 17, "").Segment.Options = stack.Options{
			SACKCount: 1, SACK: [4]stack.SACKBlock{{Left: d.clientISN.Add(21), Right: d.clientISN.Add(33)}},
		}
	}
	d.client(psh|ack, 17, 1, "abc\n")
	d.server(ack, 1, 33, "")
	return d
}

func refused() *dialogue {
	d := newDialogue()
	d.client(syn, 0, 0, "")
	d.server(rst|ack, -1768531804, 1, "")
	return d
}

func resetInTheMiddle() *dialogue {
	d := newDialogue()
	d.handshake()
	d.client(psh|ack, 1, 1, "hello\n")
	d.server(rst, 900, 0, "") // not believed
	d.server(rst, 1, 0, "")
	return d
}

func wrap() *dialogue {
	d := newDialogue()
	d.clientISN = 1<<32 - 6
	d.handshake()
	d.client(psh|ack, 1, 1, "hello2020\n")
	d.server(ack, 1, 11, "")
	d.client(psh|ack, 11, 1, "world\n")
	d.server(ack, 1, 17, "")
	return d
}

func withoutHandshake() *dialogue {
	d := newDialogue()
	d.client(psh|ack, 1, 1, "hello2020\n")
	d.server(ack, 1, 11, "")
	d.server(psh|ack, 1, 500, "an answer to what was not captured\n")
	d.client(ack, 500, 36, "")
	return d
}

func closedWindow() *dialogue {
	d := newDialogue()
	d.handshake()
	d.client(psh|ack, 1, 1, "hello\n")
	d.server(ack, 1, 7, "").Segment.Window = 0
	d.wait(300*time.Millisecond).client(ack, 7, 1, "w")
	d.server(ack, 1, 7, "").Segment.Window = 0
	d.wait(600*time.Millisecond).client(ack, 6, 1, "") // as Linux asks
	d.server(ack, 1, 7, "").Segment.Window = 0
	d.wait(5*time.Second).server(ack, 1, 7, "")
	d.client(psh|ack, 7, 1, "world\n")
	d.server(ack, 1, 13, "")
	d.wait(2*time.Hour).server(ack, 0, 13, "")
	d.client(ack, 13, 1, "")
	return d
}

// live is a conversation of our own stack, which is the client.
func live() *dialogue {
	d := newDialogue()
	sent := func(in *Input, kind stack.ReasonKind) *Live {
		in.Live = &Live{Sent: true, Reason: stack.Reason{Kind: kind, N: 1, Timer: stack.Timing{Waited: 300 * time.Millisecond, SRTT: 100 * time.Millisecond, RTTVar: 50 * time.Millisecond}}}
		return in.Live
	}
	received := func(in *Input, verdict stack.Verdict, rcvNxt int) {
		in.Live = &Live{Verdict: &stack.Judgment{Verdict: verdict, RcvNxt: d.serverISN.Add(rcvNxt), RcvWnd: 65536}}
	}
	sent(d.client(syn, 0, 0, ""), stack.ReasonSYN)
	received(d.server(syn|ack, 0, 1, ""), stack.VerdictAccepted, 0)
	sent(d.client(ack, 1, 1, ""), stack.ReasonHandshakeACK)
	sent(d.client(psh|ack, 1, 1, "hello\n"), stack.ReasonData).SendError = errors.New("operation not permitted")
	sent(d.wait(time.Second).client(psh|ack, 1, 1, "hello\n"), stack.ReasonRetransmitTimeout)
	received(d.server(psh|ack, 5, 7, "4567"), stack.VerdictOutOfOrder, 1)
	received(d.server(psh|ack, 12, 7, "c"), stack.VerdictTooManyGaps, 1)
	sent(d.client(ack, 7, 1, ""), stack.ReasonDuplicateACK)
	received(d.server(rst, 500, 0, ""), stack.VerdictBlindRST, 1)
	sent(d.client(ack, 7, 1, ""), stack.ReasonChallengeACK)
	live := sent(d.wait(time.Minute).client(rst|ack, 7, 1, ""), stack.ReasonTimeoutAbort)
	live.Transitions = []stack.Transition{{From: stack.StateEstablished, To: stack.StateClosed, Cause: stack.CauseTimeout}}
	return d
}

// Who wants no Detail gets the rest unchanged.
func TestBrief(t *testing.T) {
	for _, d := range []*dialogue{article(), live(), retransmission(), closedWindow(), withoutHandshake()} {
		full, brief := NewNarrator(language.English), NewNarrator(language.English)
		brief.Brief = true
		details := 0
		for _, in := range d.inputs {
			a, b := full.Segment(in), brief.Segment(in)
			details += len(a.Why) - len(b.Why)
			style := TextStyle{Level: 1}
			if style.Format(a) != style.Format(b) || Comment(a) != Comment(b) {
				t.Errorf("got %s\nwant %s", style.Format(b), style.Format(a))
			}
		}
		if details == 0 {
			t.Error("no Detail was left out")
		}
	}
}
