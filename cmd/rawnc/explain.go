package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	pcapin "rawnc/rawtcp/capture"
	"rawnc/rawtcp/wire"
	"rawnc/stack/explain"
)

func explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "tell of every TCP segment in a capture why its numbers are what they are",
		ArgsUsage: "FILE",
		Description: "FILE is a pcap or pcapng, perhaps compressed with gzip; - is standard input. " +
			"Nothing is sent, and no privilege is needed.",
		Action: piped(explainFile),
		Flags: []cli.Flag{
			verboseFlag(),
			&cli.StringFlag{Name: "format", Value: "text", Usage: "`text|ladder|json`; json is one object a segment, a line each"},
			quizFlag(),
			langFlag(),
			stringFlag("stream", "tell of conversation `N` alone, as Wireshark numbers them (tcp.stream)"),
			stringFlag("host", "tell of conversations of `ADDRESS` alone"),
			stringFlag("port", "tell of conversations of `PORT` alone"),
			stringFlag("pcap", "write the same capture to `FILE` as pcapng, with what there is to say as comments on its packets; with --stream, --host or --port what they choose"),
		},
	}
}

// An explanation is a run through a capture.
type explanation struct {
	in       *pcapin.Reader
	out      output
	narrator *explain.Narrator
	filter   filter
	verdicts bool       // conversations are summed up
	copy     *annotated // nil: none is wanted
	progress *progress

	frames, told, streams int
	passed                map[error]int
	linkTypes             []string // that are not known
}

func explainFile(c *cli.Context) (err error) {
	if c.NArg() != 1 {
		return fmt.Errorf("explain takes one FILE, such as rawnc explain capture.pcapng (- is standard input); %d arguments were given", c.NArg())
	}
	name := c.Args().First()
	format := c.String("format")
	x := &explanation{narrator: explain.NewNarrator(lang.Tag), verdicts: format != "json", passed: map[error]int{}}
	x.narrator.Brief = format != "json" && level(c) < 2
	if x.verdicts {
		x.narrator.Forgotten = x.sumUp
	}
	if x.filter, err = readFilter(c); err != nil {
		return err
	}
	if x.out, err = newOutput(format, level(c)); err != nil {
		return err
	}
	file := os.Stdin
	stdin := name == "-"
	if stdin {
		name = "standard input"
		if term.IsTerminal(int(file.Fd())) {
			fmt.Fprintln(os.Stderr, lang.Sprintf("rawnc: a capture is read from the terminal: Ctrl-D ends it"))
		}
	} else {
		if file, err = os.Open(name); err != nil {
			return err
		}
		defer file.Close()
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory: give a capture file", name)
	}
	x.progress = newProgress(file, x.out.flush)
	if c.Bool("quiz") {
		q, err := quizOn(x.out, level(c), !stdin)
		if err != nil {
			return err
		}
		defer q.score()
		x.progress.next = time.Time{} // it would disturb
	}
	if x.in, err = pcapin.NewReader(x.progress); err != nil {
		return x.noCapture(name, err)
	}
	if out := c.String("pcap"); out != "" {
		if x.copy, err = createAnnotated(out, file); err != nil {
			return err
		}
	}
	err = x.run()
	x.progress.clear()
	if end := x.out.close(); err == nil {
		err = end
	}
	if x.copy != nil {
		if end := x.copy.close(); err == nil {
			err = end
		}
	}
	switch {
	case errors.Is(err, syscall.EPIPE):
		return err
	case err == pcapin.ErrCut && x.frames == 0:
		return x.noCapture(name, err)
	case err == pcapin.ErrCut:
		report(fmt.Errorf("%s is cut short after packet %d: what came before is explained", name, x.frames))
		err = nil
	case err != nil:
		err = fmt.Errorf("%s: after packet %d: %w", name, x.frames, err)
	}
	x.sayPassedOver()
	if err == nil && x.told == 0 {
		err = x.nothing(name)
	}
	return err
}

// noCapture says what a file is in which not one packet was found.
func (x *explanation) noCapture(name string, err error) error {
	switch {
	case x.progress.read == 0 && err == pcapin.ErrFormat:
		return fmt.Errorf("%s is empty", name)
	case err == pcapin.ErrFormat:
		return fmt.Errorf("%s is not a capture: neither pcap nor pcapng", name)
	case err == pcapin.ErrCut:
		return fmt.Errorf("%s ends before its first packet", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// run explains packet by packet. The error is that of the capture or of the
// output.
func (x *explanation) run() error {
	var p pcapin.Packet
	for {
		if err := x.in.Next(&p); err != nil {
			if x.verdicts {
				for _, s := range x.narrator.EndAll() {
					x.sumUp(s)
				}
			}
			if err == io.EOF {
				err = nil
			}
			return err
		}
		x.frames = p.Frame
		x.progress.frames = p.Frame
		var account *explain.Account
		if p.Err != nil {
			x.passOver(&p)
		} else if a := x.explain(&p); x.filter.wants(a.Stream, a.Src, a.Dst) {
			account = a
			x.told++
			if err := x.out.keep(); err != nil {
				return err
			}
		}
		if x.copy != nil && (account != nil || !x.filter.chooses()) {
			if err := x.copy.write(&p, account); err != nil {
				return err
			}
		}
	}
}

func (x *explanation) explain(p *pcapin.Packet) *explain.Account {
	a := x.out.next()
	x.narrator.SegmentInto(a, explain.Input{
		Time: p.Time, Frame: p.Frame,
		Src: netip.AddrPortFrom(p.TCP.Src, p.TCP.SrcPort), Dst: netip.AddrPortFrom(p.TCP.Dst, p.TCP.DstPort),
		Segment: &p.TCP.Segment, Cut: p.TCP.Cut, Checksum: p.TCP.Checksum, Dir: explain.Direction(p.Dir),
	})
	x.streams = max(x.streams, a.Stream+1)
	if x.verdicts && a.Previous != nil {
		x.sumUp(a.Previous)
	}
	return a
}

func (x *explanation) sumUp(s *explain.Summary) {
	if x.filter.wants(s.Stream, s.Client, s.Server) {
		x.out.summary(s)
	}
}

func (x *explanation) passOver(p *pcapin.Packet) {
	x.passed[p.Err]++
	if p.Err == pcapin.ErrLinkType {
		const enough = 5
		name := strconv.Itoa(int(p.Interface.LinkType))
		if len(x.linkTypes) < enough && !slices.Contains(x.linkTypes, name) {
			x.linkTypes = append(x.linkTypes, name)
		}
	}
}

// sayPassedOver counts what was not explained.
func (x *explanation) sayPassedOver() {
	var parts []string
	sum := 0
	for _, kind := range []struct {
		err       error
		one, many string
	}{
		{wire.ErrNotTCP, "%d not TCP", "%d not TCP"},
		{wire.ErrFragment, "%d fragment", "%d fragments"},
		{wire.ErrTruncated, "%d cut short within its headers", "%d cut short within their headers"},
		{wire.ErrMalformed, "%d malformed", "%d malformed"},
		{pcapin.ErrLinkType, "%d of an unknown link type", "%d of an unknown link type"},
	} {
		n := x.passed[kind.err]
		switch {
		case n == 1:
			parts = append(parts, lang.Sprintf(kind.one, n))
		case n > 1:
			parts = append(parts, lang.Sprintf(kind.many, n))
		}
		sum += n
	}
	if len(x.linkTypes) > 0 {
		parts[len(parts)-1] += " (" + strings.Join(x.linkTypes, ", ") + ")"
	}
	if sum > 0 {
		fmt.Fprintln(os.Stderr, lang.Sprintf("rawnc: passed over %d of %d packets: %s", sum, x.frames, strings.Join(parts, ", ")))
	}
}

// nothing says why nothing was told.
func (x *explanation) nothing(name string) error {
	switch {
	case x.streams == 0:
		return fmt.Errorf("%s has no TCP segment that can be explained", name)
	case x.filter.stream >= x.streams:
		return fmt.Errorf("%s has no stream %d: its conversations are numbered 0 to %d", name, x.filter.stream, x.streams-1)
	}
	return fmt.Errorf("no segment in %s is of what was asked for: leave --host, --port or --stream out to see them all", name)
}

// A filter chooses conversations.
type filter struct {
	stream int // -1: any
	host   netip.Addr
	port   uint16 // 0: any
}

func readFilter(c *cli.Context) (f filter, err error) {
	f.stream = -1
	if s := c.String("host"); s != "" {
		if f.host, err = netip.ParseAddr(s); err != nil {
			return f, fmt.Errorf("--host %q is not an IP address", s)
		}
		f.host = f.host.Unmap().WithZone("")
	}
	return f, errors.Join(
		number(c, "stream", 0, 1<<31-1, func(n int64) { f.stream = int(n) }),
		number(c, "port", 1, 65535, func(n int64) { f.port = uint16(n) }),
	)
}

// chooses reports whether not all conversations are wanted.
func (f *filter) chooses() bool { return f.stream >= 0 || f.host.IsValid() || f.port != 0 }

func (f *filter) wants(stream int, a, b netip.AddrPort) bool {
	return (f.stream < 0 || f.stream == stream) &&
		(!f.host.IsValid() || f.host == a.Addr() || f.host == b.Addr()) &&
		(f.port == 0 || f.port == a.Port() || f.port == b.Port())
}
