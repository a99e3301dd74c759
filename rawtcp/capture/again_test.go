package capture_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/language"

	"rawnc/pcapout"
	"rawnc/rawtcp"
	"rawnc/rawtcp/capture"
	"rawnc/stack"
	"rawnc/stack/explain"
)

// A live run, explained again from its own capture, says the same but for what
// only the stack can know.
func TestSaysTheSameAgain(t *testing.T) {
	for name, faults := range map[string]rawtcp.Faults{
		"smooth":     {},
		"reordered":  {Reorder: 0.1},
		"duplicated": {Duplicate: 0.1},
		"corrupted":  {Corrupt: 0.1},
		"everything": {Drop: 0.03, Duplicate: 0.05, Reorder: 0.05, Corrupt: 0.03},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, atServer := range []bool{true, false} {
				sayTwice(t, faults, atServer)
			}
		})
	}
}

func sayTwice(t *testing.T, faults rawtcp.Faults, atServer bool) {
	narrator := explain.NewNarrator(language.English)
	var live []*explain.Account
	file := faulty(t, faults, atServer, func(w *pcapout.Writer, e *rawtcp.Event) {
		if e.Packet == nil || e.Err != nil || e.ICMP != nil {
			return
		}
		e = e.Clone() // the account shares its payload
		in := explain.Input{
			Time: e.Time, Src: e.Remote, Dst: e.Local, Segment: &e.Segment, Checksum: e.Checksum,
			Live: &explain.Live{
				Sent: e.Sent, Reason: e.Reason, Verdict: e.Judgment, Transitions: e.Transitions, State: e.State,
			},
		}
		dir := pcapout.In
		if e.Sent {
			in.Src, in.Dst, dir = e.Local, e.Remote, pcapout.Out
		}
		live = append(live, narrator.Segment(in))
		w.WritePacket(pcapout.Packet{Time: e.Time, Dir: dir, Data: e.Packet})
	})
	again := accounts(t, file)
	if len(again) != len(live) || len(live) == 0 {
		t.Fatalf("%d segments were told of, and %d again", len(live), len(again))
	}
	for i, first := range live {
		// The stack knows its own state, where one cannot see it from outside.
		if !again[i].SrcState.Known {
			first.SrcState = explain.State{}
		}
		if !again[i].DstState.Known {
			first.DstState = explain.State{}
		}
		if j := first.Live.Verdict; j != nil && j.Verdict != stack.VerdictAccepted && first.DstState != again[i].DstState {
			return // its Ack went unheeded, which one cannot see from outside; the rest differs with good reason
		}
		if diff := cmp.Diff(facts(t, first), facts(t, again[i])); diff != "" {
			t.Errorf("frame %d: -live +again:\n%s", first.Frame, diff)
		}
		once, twice := sentences(first), sentences(again[i])
		if first.Live.Sent {
			once, twice = slices.DeleteFunc(once, guess.MatchString), slices.DeleteFunc(twice, guess.MatchString)
		}
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Errorf("frame %d (%v): -live +again:\n%s", first.Frame, first.Live.Reason, diff)
		}
		if t.Failed() && i > 20 {
			return
		}
	}
}

// guess is what one says of a segment from outside for want of the stack's
// reason.
var guess = regexp.MustCompile(`^(fast retransmission|a (spurious )?retransmission|out of order|the same |duplicate ACK number)`)

// accounts are what is told of a capture.
func accounts(t *testing.T, file string) []*explain.Account {
	return accountsIn(t, file, language.English)
}

func accountsIn(t *testing.T, file string, lang language.Tag) []*explain.Account {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := capture.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	narrator := explain.NewNarrator(lang)
	var all []*explain.Account
	for {
		var p capture.Packet
		err := r.Next(&p)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if p.Err != nil {
			continue
		}
		segment := p.TCP.Segment
		segment.Payload = slices.Clone(segment.Payload)
		all = append(all, narrator.Segment(explain.Input{
			Frame: p.Frame, Time: p.Time, Segment: &segment, Checksum: p.TCP.Checksum, Cut: p.TCP.Cut, Dir: explain.Direction(p.Dir),
			Src: netip.AddrPortFrom(p.TCP.Src, p.TCP.SrcPort), Dst: netip.AddrPortFrom(p.TCP.Dst, p.TCP.DstPort),
		}))
	}
}

// facts is the JSON of an account but for the words.
func facts(t *testing.T, a *explain.Account) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(explain.JSON(a), &o); err != nil {
		t.Fatal(err)
	}
	delete(o, "why")
	delete(o, "reason")
	o["outward"] = a.Outward
	return o
}

// sentences are those of an account, without the stack's own: why it sent the
// segment, and what became of one that it received.
func sentences(a *explain.Account) []string {
	var list []string
	for _, why := range a.Why {
		s := a.Say(why)
		if a.Live != nil && (strings.HasPrefix(s, "sent ") || strings.HasPrefix(s, "our stack ")) {
			continue
		}
		list = append(list, s)
	}
	return list
}

// faulty sends something and has it echoed. At one of the ends, write is told of
// every packet. It returns the capture.
func faulty(t *testing.T, faults rawtcp.Faults, atReceiver bool, write func(*pcapout.Writer, *rawtcp.Event)) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "faults.pcapng")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pcapout.NewWriter(f, pcapout.PCAPNG, pcapout.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	tap := func(e *rawtcp.Event) { write(w, e) }
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	linkA, linkB := rawtcp.MemoryPair(a, b, 1500)
	client, server := rawtcp.NewHost(rawtcp.WithFaults(linkA, faults, faults)), rawtcp.NewHost(linkB)
	lc, d := rawtcp.ListenConfig{Host: server}, rawtcp.Dialer{Host: client}
	if atReceiver {
		lc.Tap = tap
	} else {
		d.Tap = tap
	}
	l, err := lc.Listen(t.Context(), "tcp", "192.0.2.2:7")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := d.Dial("tcp", "192.0.2.2:7")
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	go func() {
		c.Write(make([]byte, 200_000))
		c.(*rawtcp.Conn).CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, c); n != 200_000 || err != nil {
		t.Fatalf("%d octets came back: %v", n, err)
	}
	c.Close()
	client.Close()
	server.Close() // the last call of the tap
	if err := errors.Join(w.Close(0), f.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}
