package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
	"golang.org/x/text/language"

	"rawnc/pcapout"
	"rawnc/pcapout/reference"
	"rawnc/stack/explain"
	"rawnc/stack/explain/words"
	"rawnc/stack/netsim/script"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:      "demo",
		Usage:     "play a scenario of the catalogue, or a script, on a simulated network: no root, no network",
		ArgsUsage: "[NAME | FILE]",
		Action:    piped(demo),
		Flags: []cli.Flag{
			boolFlag("list", "list the catalogue"),
			boolFlag("fast", "play at once, not at reading speed, as a file or a pipe always gets it"),
			verboseFlag(),
			stringFlag("pcap", "write the capture to `FILE` and play nothing: pcapng with a comment on each packet, or classic for *.pcap; - is standard output"),
			stringFlag("at", "capture at the `client|server|middle`, not where the scenario says"),
			&cli.StringFlag{Name: "format", Value: "text", Usage: "`text|ladder|json`: how the segments are told"},
			langFlag(),
			stringFlag("all", "write the captures of the whole catalogue to `DIR`, with an index page"),
			&cli.StringFlag{Name: "seed", Value: strconv.Itoa(reference.Seed), Usage: "the `NUMBER` that decides all that is left to chance"},
		},
	}
}

func demo(c *cli.Context) error {
	seed, err := strconv.ParseUint(c.String("seed"), 10, 64)
	if err != nil {
		return fmt.Errorf("--seed %q: give a whole number from 0", c.String("seed"))
	}
	switch {
	case c.NArg() > 1:
		return fmt.Errorf("demo takes one NAME or FILE; %d were given", c.NArg())
	case c.Bool("list"):
		if err := alone(c, "list", "lang"); err != nil {
			return err
		}
		return listCatalogue(os.Stdout)
	case c.IsSet("all"):
		if err := alone(c, "all", "lang", "seed"); err != nil {
			return err
		}
		in := language.English // whatever the locale: the same octets on every machine
		if c.IsSet("lang") {
			in = lang.Tag
		}
		return reference.WriteAll(c.String("all"), seed, in)
	}
	name := "article"
	if c.NArg() == 1 {
		name = c.Args().First()
	}
	s, err := loadScript(name)
	if err != nil {
		return err
	}
	if at := c.String("at"); at != "" {
		point, ok := script.PointNamed(at)
		if !ok {
			return fmt.Errorf("--at %q: the capture points are client, server and middle", at)
		}
		s.Capture = point
	}
	p, err := newPlayer(c)
	if err != nil {
		return err
	}
	// What a failed scenario did until then is told too.
	run, failure := s.Run(seed)
	capture, err := reference.Take(run, s.Capture, lang.Tag)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if file := c.String("pcap"); file != "" {
		return errors.Join(writeDemo(file, name, capture), failure)
	}
	if err := p.play(s, capture); err != nil {
		return err
	}
	return failure
}

// alone refuses what says nothing beside a flag that concerns the whole
// catalogue.
func alone(c *cli.Context, flag string, beside ...string) error {
	if c.NArg() > 0 {
		return fmt.Errorf("--%s concerns the whole catalogue: leave %q out", flag, c.Args().First())
	}
	for _, name := range c.LocalFlagNames() {
		if name != flag && !slices.Contains(beside, name) {
			return fmt.Errorf("--%s concerns the whole catalogue: leave --%s out", flag, name)
		}
	}
	return nil
}

func listCatalogue(w io.Writer) error {
	for _, g := range reference.Catalogue() {
		fmt.Fprintln(w, lang.Text(g.Title))
		for _, name := range g.Names {
			s, err := reference.Load(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "  %-24s %s\n", name, s.Title.In(lang.Tag.String()))
		}
	}
	return nil
}

// loadScript reads a scenario of the catalogue or, if there is none of that
// name, a file.
func loadScript(name string) (*script.Script, error) {
	s, err := reference.Load(name)
	if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is neither a scenario nor a file %q: rawnc demo --list shows the scenarios", name)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	source, err := io.ReadAll(io.LimitReader(file, maxScript+1))
	if err != nil {
		return nil, err
	}
	if len(source) > maxScript {
		return nil, fmt.Errorf("%s has more than %d octets: that is no script", name, maxScript)
	}
	return script.Parse(name, string(source))
}

// maxScript is far more than a script has, in octets.
const maxScript = 1 << 20

// A player tells of a capture on standard output.
type player struct {
	writing                      // nil: JSON, and nothing but that
	pace    func(written string) // waits until it is read; nil: does not
}

func newPlayer(c *cli.Context) (*player, error) {
	p := new(player)
	format := c.String("format")
	if format == "json" {
		return p, nil
	}
	if !c.Bool("fast") && term.IsTerminal(int(os.Stdout.Fd())) {
		p.pace = readAlong
	}
	var err error
	p.writing, err = newWriting(format, level(c))
	return p, err
}

func (p *player) say(text string) error {
	_, err := io.WriteString(os.Stdout, text)
	if p.pace != nil {
		p.pace(text)
	}
	return err
}

func (p *player) play(s *script.Script, capture *reference.Capture) error {
	if p.writing == nil {
		return p.playJSON(capture)
	}
	title, about := printable(s.Title.In(lang.Tag.String())), printable(s.About.In(lang.Tag.String()))
	head := fmt.Sprintf("%s\n\n%s\n\n", title, words.Wrap(about, 80, ""))
	if p.pace != nil {
		head += fmt.Sprintln(lang.Text("It is played at reading speed: with --fast at once"))
	}
	if err := p.say(head + p.Legend(lang)); err != nil {
		return err
	}
	for i, r := range capture.Records {
		text := ""
		switch {
		case r.Account == nil:
			text = icmpText(i+1, r.Comments[0])
		case r.Account.Previous != nil:
			text = p.Summary(r.Account.Previous) + p.Format(r.Account)
		default:
			text = p.Format(r.Account)
		}
		if err := p.say(text); err != nil {
			return err
		}
	}
	for _, sum := range capture.Summaries {
		if err := p.say(p.Summary(sum)); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) playJSON(capture *reference.Capture) error {
	var began time.Time
	for i, r := range capture.Records {
		line := []byte(nil)
		if r.Account == nil {
			line = icmpJSON(r.ICMP, r.ICMPWhy, i+1, r.Time.Sub(began))
		} else {
			line = explain.JSON(r.Account)
			began = r.Time.Add(-r.Account.Since)
		}
		if err := p.say(string(line)); err != nil {
			return err
		}
	}
	return nil
}

// longestPause is how long at most: a long text stays on the screen.
const longestPause = 6 * time.Second

// readAlong waits as long as it takes to read a text: four words a second, or
// eight Chinese characters.
func readAlong(text string) {
	eighths := 2 * len(strings.Fields(text))
	for _, r := range text {
		if unicode.Is(unicode.Han, r) {
			eighths++
		}
	}
	time.Sleep(min(time.Duration(eighths)*time.Second/8, longestPause))
}

// writeDemo writes a capture to a file, or - for standard output.
func writeDemo(path, name string, capture *reference.Capture) error {
	out := os.Stdout
	if path != "-" {
		var err error
		if out, err = createFile(path); err != nil {
			return fmt.Errorf("--pcap: %w", err)
		}
	}
	err := capture.Write(out, pcapout.FormatFor(path), reference.Meta(filepath.Base(name)))
	if path != "-" {
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		return fmt.Errorf("--pcap: %w", err)
	}
	return nil
}
