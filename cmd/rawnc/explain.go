package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
	"golang.org/x/text/language"

	"rawnc/pcapout"
	pcapin "rawnc/rawtcp/capture"
	"rawnc/rawtcp/wire"
	"rawnc/stack/explain"
)

func explainCommand() *cli.Command {
	level := 0
	return &cli.Command{
		Name:      "explain",
		Usage:     "tell of every TCP segment in a capture why its numbers are what they are",
		ArgsUsage: "FILE",
		Description: "FILE is a pcap or pcapng, perhaps compressed with gzip; - is standard input. " +
			"Nothing is sent, and no privilege is needed.",
		Action: func(c *cli.Context) error { return explainFile(c, level) },
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "v", Usage: "show the arithmetic under each segment; -vv: everything", Count: &level, DisableDefaultText: true},
			&cli.StringFlag{Name: "format", Value: "text", Usage: "`text|ladder|json`; json is one object a segment, a line each"},
			stringFlag("stream", "tell of conversation `N` alone, as Wireshark numbers them (tcp.stream)"),
			stringFlag("host", "tell of conversations of `ADDRESS` alone"),
			stringFlag("port", "tell of conversations of `PORT` alone"),
			stringFlag("pcap", "write the same capture to `FILE` as pcapng, with what there is to say as comments on its packets"),
		},
	}
}

// An explanation is a run through a capture.
type explanation struct {
	in       *pcapin.Reader
	out      *bufio.Writer
	narrator *explain.Narrator
	filter   filter
	write    func(*explain.Account)
	verdict  func(*explain.Summary) // nil: none is wanted
	copy     *annotated             // nil: none is wanted
	progress *progress

	frames, told, streams int
	passed                map[error]int
	linkTypes             []string // that are not known
}

func explainFile(c *cli.Context, level int) (err error) {
	if c.NArg() != 1 {
		return fmt.Errorf("explain takes one FILE, such as rawnc explain capture.pcapng (- is standard input); %d arguments were given", c.NArg())
	}
	name := c.Args().First()
	x := &explanation{
		out: bufio.NewWriterSize(os.Stdout, 64<<10), narrator: explain.NewNarrator(language.English), passed: map[error]int{},
	}
	if x.filter, err = readFilter(c); err != nil {
		return err
	}
	if err := x.chooseFormat(c.String("format"), level); err != nil {
		return err
	}
	file := os.Stdin
	if name != "-" {
		if file, err = os.Open(name); err != nil {
			return err
		}
		defer file.Close()
	}
	x.progress = newProgress(file, x.out)
	if x.in, err = pcapin.NewReader(x.progress); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if out := c.String("pcap"); out != "" {
		if x.copy, err = createAnnotated(out, file); err != nil {
			return err
		}
	}
	err = x.run()
	x.progress.clear()
	if end := x.out.Flush(); err == nil {
		err = end
	}
	if x.copy != nil {
		if end := x.copy.close(); err == nil {
			err = end
		}
	}
	switch {
	case errors.Is(err, syscall.EPIPE):
		return exitCode(128 + int(syscall.SIGPIPE)) // whoever read the output has gone
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

// chooseFormat sets how accounts are written.
func (x *explanation) chooseFormat(format string, level int) error {
	style := explain.TextStyle{Level: level}
	if fd := int(os.Stdout.Fd()); term.IsTerminal(fd) {
		style.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		style.Width, _, _ = term.GetSize(fd)
		if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
			style.Width = n
		}
	}
	switch format {
	case "json":
		x.write = func(a *explain.Account) { x.out.Write(explain.JSON(a)) }
	case "text":
		x.write = func(a *explain.Account) { x.out.WriteString(style.Format(a)) }
		x.verdict = func(s *explain.Summary) { x.out.WriteString(style.Summary(s)) }
	case "ladder":
		ladder := &explain.Ladder{TextStyle: style, ASCII: !unicodeTerminal()}
		x.write = func(a *explain.Account) { x.out.WriteString(ladder.Format(a)) }
		x.verdict = func(s *explain.Summary) { x.out.WriteString(ladder.Summary(s)) }
	default:
		return fmt.Errorf("--format %q: the formats are text, ladder and json", format)
	}
	return nil
}

// unicodeTerminal reports whether the locale is one of UTF-8 (POSIX, section
// 8.2: the first of these variables that is set counts).
func unicodeTerminal() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(os.Getenv(name)); locale != "" {
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return runtime.GOOS == "windows"
}

// run explains packet by packet. The error is that of the capture or of the
// output.
func (x *explanation) run() error {
	var p pcapin.Packet
	for {
		if err := x.in.Next(&p); err != nil {
			for _, s := range x.narrator.EndAll() {
				x.sumUp(s)
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
			x.write(a)
		}
		if x.copy != nil {
			if err := x.copy.write(&p, account); err != nil {
				return err
			}
		}
		if err := x.writeError(); err != nil {
			return err
		}
	}
}

// writeError is what went wrong with the output; a bufio.Writer keeps it.
func (x *explanation) writeError() error {
	_, err := x.out.Write(nil)
	return err
}

func (x *explanation) explain(p *pcapin.Packet) *explain.Account {
	a := x.narrator.Segment(explain.Input{
		Time: p.Time, Frame: p.Frame,
		Src: netip.AddrPortFrom(p.TCP.Src, p.TCP.SrcPort), Dst: netip.AddrPortFrom(p.TCP.Dst, p.TCP.DstPort),
		Segment: &p.TCP.Segment, Checksum: p.TCP.Checksum,
	})
	x.streams = max(x.streams, a.Stream+1)
	if a.Previous != nil {
		x.sumUp(a.Previous)
	}
	return a
}

func (x *explanation) sumUp(s *explain.Summary) {
	if x.verdict != nil && x.filter.wants(s.Stream, s.Client, s.Server) {
		x.verdict(s)
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
		err  error
		name string
	}{
		{wire.ErrNotTCP, "not TCP"},
		{wire.ErrFragment, "fragments"},
		{wire.ErrTruncated, "cut short within their headers"},
		{wire.ErrMalformed, "malformed"},
		{pcapin.ErrLinkType, "of an unknown link type (" + strings.Join(x.linkTypes, ", ") + ")"},
	} {
		if n := x.passed[kind.err]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind.name))
			sum += n
		}
	}
	if sum > 0 {
		fmt.Fprintf(os.Stderr, "rawnc: passed over %d of %d packets: %s\n", sum, x.frames, strings.Join(parts, ", "))
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

func (f *filter) wants(stream int, a, b netip.AddrPort) bool {
	return (f.stream < 0 || f.stream == stream) &&
		(!f.host.IsValid() || f.host == a.Addr() || f.host == b.Addr()) &&
		(f.port == 0 || f.port == a.Port() || f.port == b.Port())
}

// An annotated is the capture of --pcap.
type annotated struct {
	name       string
	file       *os.File
	w          *pcapout.Writer
	interfaces map[pcapin.Interface]int
	waiting    int // packets that wait for a Flush
}

// createAnnotated creates the file, which must not be the one that is read.
func createAnnotated(name string, in *os.File) (*annotated, error) {
	switch {
	case name == "-":
		return nil, errors.New("--pcap -: standard output has the explanation; give the capture a file of its own")
	case pcapout.FormatFor(name) == pcapout.PCAP:
		return nil, fmt.Errorf("--pcap %s: a classic pcap has no comments; give a name that ends in .pcapng", name)
	}
	if out, err := os.Stat(name); err == nil {
		if read, err := in.Stat(); err == nil && os.SameFile(out, read) {
			return nil, fmt.Errorf("--pcap %s is the capture that is explained: give another name", name)
		}
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--pcap: %w", err)
	}
	c := &annotated{name: name, file: file, interfaces: map[pcapin.Interface]int{}}
	c.w, err = pcapout.NewWriter(file, pcapout.PCAPNG, pcapout.Meta{
		CommandLine: commandLine(os.Args), Version: "rawnc " + version(), NoInterface: true,
	})
	return c, c.failed(err)
}

// maxNames bounds the memory that the names of interfaces take.
const maxNames = 1000

// number is the interface's number in the file.
func (c *annotated) number(i pcapin.Interface) (int, error) {
	if len(c.interfaces) > maxNames {
		i.Name = ""
	}
	n, ok := c.interfaces[i]
	if ok {
		return n, nil
	}
	n, err := c.w.AddInterface(i.Name, i.LinkType)
	c.interfaces[i] = n
	return n, err
}

// write adds a packet, with the comments that it has already and, if there is
// an account of it, ours.
func (c *annotated) write(p *pcapin.Packet, a *explain.Account) error {
	n, err := c.number(p.Interface)
	if err != nil {
		return c.failed(err)
	}
	comments := p.Comments()
	if a != nil {
		comments = append(comments, explain.Comment(a))
	}
	err = c.w.WritePacket(pcapout.Packet{
		Time: p.Time, Interface: n, Dir: pcapout.Direction(p.Dir), Data: p.Data, Length: p.Length, Comments: comments,
	})
	if c.waiting++; err == nil && c.waiting == 1000 {
		c.waiting = 0
		err = c.w.Flush()
	}
	return c.failed(err)
}

func (c *annotated) failed(err error) error {
	if err != nil {
		return fmt.Errorf("--pcap %s: %w", c.name, err)
	}
	return nil
}

func (c *annotated) close() error {
	return c.failed(errors.Join(c.w.Close(0), c.file.Close()))
}

// A progress is the capture on its way to the reader. Before it reads on, which
// may take long, it has the output written, and tells a terminal how far it is.
type progress struct {
	in     io.Reader
	out    *bufio.Writer
	size   int64 // 0: not known
	read   int64
	frames int
	shown  bool
	next   time.Time // when to tell; zero: never
}

func newProgress(file *os.File, out *bufio.Writer) *progress {
	p := &progress{in: file, out: out}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		p.size = info.Size()
	}
	if term.IsTerminal(int(os.Stderr.Fd())) && !term.IsTerminal(int(os.Stdout.Fd())) {
		p.next = time.Now().Add(time.Second)
	}
	return p
}

func (p *progress) Read(b []byte) (int, error) {
	p.out.Flush() // an error stays, and run sees it
	if !p.next.IsZero() && time.Now().After(p.next) {
		p.show()
	}
	n, err := p.in.Read(b)
	p.read += int64(n)
	return n, err
}

func (p *progress) show() {
	var line bytes.Buffer
	if p.size > 0 {
		fmt.Fprintf(&line, "%d %%, ", min(100*p.read/p.size, 100))
	}
	fmt.Fprintf(&line, "%d packets", p.frames)
	fmt.Fprintf(os.Stderr, "\r\x1b[K%s", line.Bytes())
	p.shown, p.next = true, time.Now().Add(200*time.Millisecond)
}

// clear takes the line away.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
