// Package reference is the catalogue of reference captures: scenarios of TCP,
// each a script of package script, played by our own stacks on a simulated
// network. The same scenario and seed always give the same octets.
//
// The scenarios lie in scenarios/, a file each; catalogue.txt gives their order.
package reference

import (
	"embed"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/text/language"

	"rawnc/pcapout"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
	"rawnc/stack/explain"
	"rawnc/stack/explain/words"
	"rawnc/stack/netsim"
	"rawnc/stack/netsim/script"
)

//go:embed catalogue.txt scenarios/*.rawnc
var files embed.FS

// A Group is a part of the catalogue.
type Group struct {
	Title string
	Names []string // of its scenarios
}

// Catalogue is the catalogue, in order.
func Catalogue() []Group {
	text, err := files.ReadFile("catalogue.txt")
	if err != nil {
		panic(err) // it is embedded
	}
	var groups []Group
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch title, isGroup := strings.CutPrefix(line, "# "); {
		case isGroup:
			groups = append(groups, Group{Title: title})
		case line != "":
			g := &groups[len(groups)-1]
			g.Names = append(g.Names, line)
		}
	}
	return groups
}

// Load reads a scenario of the catalogue. The error is os.ErrNotExist where
// there is none of that name.
func Load(name string) (*script.Script, error) {
	file := name + ".rawnc"
	source, err := files.ReadFile("scenarios/" + file)
	if err != nil {
		return nil, fmt.Errorf("there is no scenario %q in the catalogue: %w", name, os.ErrNotExist)
	}
	return script.Parse(file, string(source))
}

// A Record is a packet of a capture, with what there is to tell of it.
type Record struct {
	pcapout.Packet
	Account *explain.Account // nil: an ICMP error
	ICMP    *stack.ICMPError
	ICMPWhy []string // what it means for the connection
}

// A Capture is what was seen at a capture point.
type Capture struct {
	Records   []Record
	Summaries []*explain.Summary
}

// Take returns the capture of a run at a point, explained in a language.
func Take(run *script.Run, at netsim.Point, lang language.Tag) (*Capture, error) {
	narrator, say := explain.NewNarrator(lang), words.In(lang)
	capture := &Capture{}
	for i := range run.Crossings {
		c := &run.Crossings[i]
		if c.Point != at {
			continue
		}
		packet, err := pack(run, c)
		if err != nil {
			return nil, fmt.Errorf("at %v: %w", c.Time.Sub(netsim.Start), err)
		}
		record, err := tell(narrator, say, c, packet, len(capture.Records)+1)
		if err != nil {
			return nil, err
		}
		capture.Records = append(capture.Records, record)
	}
	capture.Summaries = narrator.EndAll()
	return capture, nil
}

// tell explains a packet.
func tell(narrator *explain.Narrator, say *words.Language, c *netsim.Crossing, data []byte, frame int) (Record, error) {
	r := Record{Packet: pcapout.Packet{Time: c.Time, Data: data}}
	sent := c.From == c.Point
	switch {
	case c.Point == netsim.Middle:
	case sent:
		r.Dir = pcapout.Out
	default:
		r.Dir = pcapout.In
	}
	if c.ICMP != nil {
		var judgment *stack.Judgment
		if c.Own != nil {
			judgment = c.Own.Verdict
		}
		r.ICMP, r.ICMPWhy = c.ICMP, explain.ICMP(c.ICMP, judgment, say)
		r.Comments = []string{"ICMP: " + strings.Join(r.ICMPWhy, "; ")}
		return r, nil
	}
	var p wire.Packet
	if err := wire.Parse(data, &p); err != nil {
		return r, err
	}
	in := explain.Input{
		Time: c.Time, Segment: &p.Segment, Checksum: p.Checksum, Frame: frame,
		Src: addrPort(p.Src, p.SrcPort), Dst: addrPort(p.Dst, p.DstPort), Fate: fate(c),
	}
	if c.Own != nil {
		in.Live = &explain.Live{
			Sent: sent, Reason: c.Own.Reason, Verdict: c.Own.Verdict, Transitions: c.Own.Transitions, State: c.Own.State,
		}
	}
	r.Account = narrator.Segment(in)
	r.Comments = []string{explain.Comment(r.Account)}
	return r, nil
}

// fate is what becomes of a segment behind the capture point.
func fate(c *netsim.Crossing) *explain.Fate {
	if c.Point == c.To {
		return &explain.Fate{Copy: c.Copy}
	}
	return &explain.Fate{Lost: c.Outcome.Lost, Corrupt: c.Outcome.Corrupt, Copies: c.Outcome.Copies}
}

// Write writes the capture to w.
func (c *Capture) Write(w io.Writer, format pcapout.Format, meta pcapout.Meta) error {
	out, err := pcapout.NewWriter(w, format, meta)
	if err != nil {
		return err
	}
	for _, r := range c.Records {
		if err := out.WritePacket(r.Packet); err != nil {
			return err
		}
	}
	return out.Close(0)
}
