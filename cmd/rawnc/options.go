package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"rawnc/rawtcp"
	"rawnc/stack"
)

// options are the flags, read and checked.
type options struct {
	network  string // tcp, tcp4 or tcp6
	numeric  bool
	noInput  bool
	interval time.Duration // between lines; 0: none
	linger   time.Duration // after the end of input; negative: until the peer closes
	timeout  time.Duration // 0: none
	local    netip.AddrPort
	sends    [][]byte // nil: standard input
	noWait   bool
	output   string // empty: standard output
	pcap     string
	json     bool
	quiet    bool
	step     bool
	quiz     bool
	level    int // of the log's detail
	isn      *stack.Seq
	link     string
	ttl      uint8
	config   stack.Config
}

func readOptions(c *cli.Context) (*options, error) {
	o := &options{
		network: "tcp", numeric: c.Bool("n"), noInput: c.Bool("d"), linger: -1, noWait: c.Bool("no-wait"),
		output: c.String("output"), pcap: c.String("pcap"), quiet: c.Bool("quiet"), level: level(c),
		step: c.Bool("step"), quiz: c.Bool("quiz"), link: c.String("link"),
		config: stack.Config{
			NoTimestamps: c.Bool("no-timestamps"), NoSACK: c.Bool("no-sack"),
			NoWindowScale: c.Bool("no-window-scale"), NoDelay: c.Bool("no-delay"), ECN: c.Bool("ecn"),
		},
	}
	switch {
	case c.Bool("4") && c.Bool("6"):
		return nil, errors.New("-4 and -6 exclude each other: give one, or none for both")
	case c.Bool("4"):
		o.network = "tcp4"
	case c.Bool("6"):
		o.network = "tcp6"
	}
	switch c.String("format") {
	case "text":
	case "json":
		o.json = true
	default:
		return nil, fmt.Errorf("--format %q: the formats are text and json", c.String("format"))
	}
	switch {
	case o.pcap == "-" && o.output == "":
		return nil, errors.New("--pcap - takes standard output for the capture: say with --output FILE where what is received should go")
	case o.pcap == "-" && term.IsTerminal(int(os.Stdout.Fd())):
		return nil, errors.New("--pcap - would write the capture to the terminal: pipe it, as in rawnc ... --pcap - | wireshark -k -i -")
	case o.noWait && !c.IsSet("send"):
		return nil, errors.New("--no-wait goes with --send")
	case o.step && o.quiz:
		return nil, errors.New("--step and --quiz exclude each other: give one")
	case (o.step || o.quiz) && (o.quiet || o.json):
		return nil, errors.New("--step and --quiz go with the log that people read: leave --quiet and --format json out")
	}
	for _, err := range []error{
		seconds(c, "i", func(d time.Duration) { o.interval = d }),
		seconds(c, "q", func(d time.Duration) { o.linger = d }),
		seconds(c, "w", func(d time.Duration) { o.timeout = d }),
		seconds(c, "keep-alive", func(d time.Duration) { o.config.KeepAlive, o.config.KeepAliveIdle = true, d }),
		number(c, "isn", 0, math.MaxUint32, func(n int64) { s := stack.Seq(n); o.isn = &s }),
		number(c, "mss", 64, 65495, func(n int64) { o.config.MSS = int(n) }),
		number(c, "window", 1, 1<<30, func(n int64) { o.config.ReceiveBuffer = int(n) }),
		number(c, "ttl", 1, 255, func(n int64) { o.ttl = uint8(n) }),
		checkLink(o.link),
		o.readLocal(c),
		o.readSends(c),
	} {
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// number reads a flag that is a whole number.
func number(c *cli.Context, name string, least, most int64, set func(int64)) error {
	if !c.IsSet(name) {
		return nil
	}
	n, err := strconv.ParseInt(c.String(name), 0, 64)
	if err != nil || n < least || n > most {
		return fmt.Errorf("%s %q: give a whole number from %d to %d", dashed(name), c.String(name), least, most)
	}
	set(n)
	return nil
}

// seconds reads a flag that is a number of seconds, perhaps with a fraction.
func seconds(c *cli.Context, name string, set func(time.Duration)) error {
	if !c.IsSet(name) {
		return nil
	}
	s, err := strconv.ParseFloat(c.String(name), 64)
	const most = 1e9
	switch {
	case err == nil && s >= 0.001 && s <= most:
	case err == nil && name == "q" && s < 0.001: // any number below 0 is for ever
		s = max(s, -1)
	case name == "q":
		return fmt.Errorf("-q %q: give a number of seconds, such as 5 or 0.5, or -1 to wait until the peer closes", c.String(name))
	default:
		return fmt.Errorf("%s %q: give a number of seconds above 0, such as 5 or 0.5", dashed(name), c.String(name))
	}
	set(time.Duration(s * float64(time.Second)))
	return nil
}

// readLocal reads -s and -p.
func (o *options) readLocal(c *cli.Context) error {
	var addr netip.Addr
	if s := c.String("s"); c.IsSet("s") {
		var err error
		if addr, err = netip.ParseAddr(s); err != nil {
			return fmt.Errorf("-s %q is not an IP address: give one of this machine's (see ip address)", s)
		}
		addr = addr.Unmap()
		if o.network == "tcp4" && addr.Is6() || o.network == "tcp6" && addr.Is4() {
			return fmt.Errorf("-s %s is not of the family that -%c asks for", s, o.network[3])
		}
	}
	var port uint16
	if s := c.String("p"); c.IsSet("p") {
		var err error
		if port, err = o.port(s); err != nil {
			return err
		}
	}
	o.local = netip.AddrPortFrom(addr, port)
	return nil
}

// readSends reads --send, with its escapes.
func (o *options) readSends(c *cli.Context) error {
	for _, text := range c.StringSlice("send") {
		b, err := unescape(text)
		if err != nil {
			return fmt.Errorf("--send %q: a backslash must start one of Go's escapes, such as \\n, \\t, \\x41 or \\\\", text)
		}
		o.sends = append(o.sends, b)
	}
	return nil
}

func unescape(text string) ([]byte, error) {
	var b []byte
	for len(text) > 0 {
		if text[0] != '\\' { // any octet, not only UTF-8
			b, text = append(b, text[0]), text[1:]
			continue
		}
		r, multibyte, rest, err := strconv.UnquoteChar(text, 0)
		if err != nil {
			return nil, err
		}
		if multibyte {
			b = utf8.AppendRune(b, r)
		} else {
			b = append(b, byte(r))
		}
		text = rest
	}
	return b, nil
}

// port reads a port number or, without -n, the name of a service.
func (o *options) port(s string) (uint16, error) {
	if n, err := strconv.Atoi(s); err == nil || errors.Is(err, strconv.ErrRange) {
		if n < 1 || n > 65535 {
			return 0, fmt.Errorf("port %s is out of range: ports go from 1 to 65535", s)
		}
		return uint16(n), nil
	}
	var from, to int
	if n, _ := fmt.Sscanf(s, "%d-%d", &from, &to); n == 2 {
		return 0, fmt.Errorf("%s is a range of ports, and rawnc holds one conversation at a time: give one port, such as %d", s, from)
	}
	if o.numeric {
		return 0, fmt.Errorf("port %q is not a number, and -n forbids to look up names: give a number from 1 to 65535", s)
	}
	n, err := net.LookupPort("tcp", s)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q is neither a number from 1 to 65535 nor the name of a service, such as http", s)
	}
	return uint16(n), nil
}

// checkHost checks HOST. A name is looked up later.
func (o *options) checkHost(s string) error {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		host, port, notBoth := net.SplitHostPort(s)
		switch {
		case s == "":
			return errors.New("HOST is empty: give a name or an address")
		case strings.Contains(s, "://"):
			return fmt.Errorf("%q is a URL: give the HOST in it alone, such as example.com", s)
		case notBoth == nil && host != "" && port != "":
			return fmt.Errorf("%q is HOST and PORT in one: give them apart, as %q and %q", s, host, port)
		case strings.ContainsFunc(s, unnamable):
			return fmt.Errorf("%q is neither a name nor an address", s)
		case o.numeric:
			return fmt.Errorf("host %q is not an IP address, and -n forbids to look up names", s)
		}
		return nil
	}
	addr = addr.Unmap()
	us := o.local.Addr()
	switch {
	case o.network == "tcp4" && addr.Is6():
		return fmt.Errorf("host %s is an IPv6 address, and -4 asks for IPv4: leave -4 out", s)
	case o.network == "tcp6" && addr.Is4():
		return fmt.Errorf("host %s is an IPv4 address, and -6 asks for IPv6: leave -6 out", s)
	case us.IsValid() && us.Is4() != addr.Is4():
		return fmt.Errorf("-s %v and host %s are of different families: one is IPv4, the other IPv6", us, s)
	case addr.Is6() && addr.IsLinkLocalUnicast() && addr.Zone() == "":
		return fmt.Errorf("host %s is link-local: say on which interface, such as %s%%eth0 (see ip address)", s, s)
	}
	return nil
}

// unnamable reports whether no host has the character in its name.
func unnamable(r rune) bool {
	return !unicode.IsPrint(r) || strings.ContainsRune(" /:[]", r)
}

// unbracketed is an IPv6 address without the brackets that URLs put around it.
func unbracketed(host string) string {
	inner, ok := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if addr, err := netip.ParseAddr(inner); ok && closed && err == nil && addr.Is6() {
		return inner
	}
	return host
}

func (o *options) dialer(tap rawtcp.Tap, step *stepper) *rawtcp.Dialer {
	return &rawtcp.Dialer{
		LocalAddr: o.local, Timeout: o.timeout, Config: o.config, ISN: o.isn, TTL: o.ttl, Tap: tap, Gate: step.asGate(),
	}
}

func (o *options) listenConfig(tap rawtcp.Tap, step *stepper) *rawtcp.ListenConfig {
	return &rawtcp.ListenConfig{Config: o.config, ISN: o.isn, TTL: o.ttl, Tap: tap, Gate: step.asGate()}
}
