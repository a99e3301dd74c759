package main

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"rawnc/rawtcp"
	"rawnc/stack"
)

// commonFlags are those of connect and listen. Where nc has the letter, it
// means what it means in OpenBSD's nc.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "4", Usage: "IPv4 only"},
		&cli.BoolFlag{Name: "6", Usage: "IPv6 only"},
		&cli.BoolFlag{Name: "d", Usage: "do not read standard input"},
		&cli.StringFlag{Name: "i", Usage: "wait `SECONDS` between the lines that are sent"},
		&cli.BoolFlag{Name: "N", Usage: "send FIN when standard input ends (rawnc always does; accepted for nc's sake)"},
		&cli.BoolFlag{Name: "n", Usage: "take addresses and ports as numbers, look nothing up"},
		&cli.StringFlag{Name: "q", Usage: "quit `SECONDS` after standard input has ended; negative: never (the default)"},
		&cli.StringFlag{Name: "s", Usage: "use the local `ADDRESS`"},
		&cli.BoolFlag{Name: "v", Usage: "show more: numbers relative and absolute, all options (-v is for the log; it is shown anyway)"},
		&cli.StringFlag{Name: "w", Usage: "give up after `SECONDS` without connection or without any data"},
		&cli.StringSliceFlag{Name: "send", Usage: "send `TEXT` in place of standard input, with Go's escapes (\\n); may be repeated: each waits until the one before it is acknowledged"},
		&cli.BoolFlag{Name: "no-wait", Usage: "with --send: do not wait for acknowledgments"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write what is received to `FILE`, not to standard output"},
		&cli.StringFlag{Name: "pcap", Usage: "write the capture to `FILE`: pcapng with a comment on each packet, or classic for *.pcap; - is standard output"},
		&cli.StringFlag{Name: "format", Value: "text", Usage: "of the log: `text|json`"},
		&cli.BoolFlag{Name: "quiet", Usage: "no log: errors only"},
		&cli.StringFlag{Name: "isn", Usage: "the initial sequence `NUMBER`, 0 to 4294967295, in place of an unpredictable one"},
		&cli.StringFlag{Name: "mss", Usage: "announce and send segments of at most `OCTETS`"},
		&cli.StringFlag{Name: "window", Usage: "offer a receive window of at most `OCTETS`"},
		&cli.StringFlag{Name: "ttl", Usage: "time to live of the packets, 1 to 255"},
		&cli.BoolFlag{Name: "no-timestamps", Usage: "do without the timestamps option (RFC 7323)"},
		&cli.BoolFlag{Name: "no-sack", Usage: "do without selective acknowledgments (RFC 2018)"},
		&cli.BoolFlag{Name: "no-window-scale", Usage: "do without window scaling (RFC 7323)"},
		&cli.BoolFlag{Name: "no-delay", Usage: "switch the Nagle algorithm off"},
		&cli.StringFlag{Name: "keep-alive", Usage: "ask an idle peer every `SECONDS` whether it is there"},
	}
}

// options are the flags, read and checked.
type options struct {
	network   string // tcp, tcp4 or tcp6
	numeric   bool   // -n
	noInput   bool   // -d
	interval  time.Duration
	linger    time.Duration // -q; negative: for ever
	timeout   time.Duration // -w; 0: none
	local     netip.AddrPort
	sends     [][]byte
	noWait    bool
	output    string
	pcap      string
	json      bool
	quiet     bool
	level     int // of the log's detail
	isn       *stack.Seq
	ttl       uint8
	config    stack.Config
	scan      bool // -z
	keepGoing bool // -k
}

// fields of a flag that is a number, for messages.
func (o *options) number(c *cli.Context, name string, least, most int64, set func(int64)) error {
	if !c.IsSet(name) {
		return nil
	}
	n, err := strconv.ParseInt(c.String(name), 0, 64)
	if err != nil || n < least || n > most {
		return usage("%s %q: give a whole number from %d to %d", dashed(name), c.String(name), least, most)
	}
	set(n)
	return nil
}

// seconds reads a flag that is a number of seconds; fractions are allowed.
func seconds(c *cli.Context, name string, negative bool, set func(time.Duration)) error {
	if !c.IsSet(name) {
		return nil
	}
	s, err := strconv.ParseFloat(c.String(name), 64)
	if err != nil || math.IsNaN(s) || math.Abs(s) > 1e9 || s < 0 && !negative {
		return usage("%s %q: give a number of seconds, such as 5 or 0.5", dashed(name), c.String(name))
	}
	set(time.Duration(s * float64(time.Second)))
	return nil
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func readOptions(c *cli.Context) (*options, error) {
	o := &options{
		network: "tcp", numeric: c.Bool("n"), noInput: c.Bool("d"), linger: -1, noWait: c.Bool("no-wait"),
		output: c.String("output"), pcap: c.String("pcap"), quiet: c.Bool("quiet"), level: 1,
		scan: c.Bool("z"), keepGoing: c.Bool("k"),
		config: stack.Config{
			NoTimestamps: c.Bool("no-timestamps"), NoSACK: c.Bool("no-sack"),
			NoWindowScale: c.Bool("no-window-scale"), NoDelay: c.Bool("no-delay"),
		},
	}
	switch {
	case c.Bool("4") && c.Bool("6"):
		return nil, usage("-4 and -6 exclude each other: give one, or none for both")
	case c.Bool("4"):
		o.network = "tcp4"
	case c.Bool("6"):
		o.network = "tcp6"
	}
	if c.Bool("v") {
		o.level = 2
	}
	switch c.String("format") {
	case "text":
	case "json":
		o.json = true
	default:
		return nil, usage("--format %q: the formats are text and json", c.String("format"))
	}
	if o.pcap == "-" && o.output == "" {
		return nil, usage("--pcap - takes standard output for the capture: say with --output FILE where what is received should go")
	}
	for _, err := range []error{
		seconds(c, "i", false, func(d time.Duration) { o.interval = d }),
		seconds(c, "q", true, func(d time.Duration) { o.linger = d }),
		seconds(c, "w", false, func(d time.Duration) { o.timeout = d }),
		seconds(c, "keep-alive", false, func(d time.Duration) { o.config.KeepAlive = d }),
		o.number(c, "isn", 0, math.MaxUint32, func(n int64) { s := stack.Seq(n); o.isn = &s }),
		o.number(c, "mss", 64, 65495, func(n int64) { o.config.MSS = int(n) }),
		o.number(c, "window", 1, 1<<30, func(n int64) { o.config.ReceiveBuffer = int(n) }),
		o.number(c, "ttl", 1, 255, func(n int64) { o.ttl = uint8(n) }),
		o.readLocal(c),
		o.readSends(c),
	} {
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// readLocal reads -s and -p.
func (o *options) readLocal(c *cli.Context) error {
	var addr netip.Addr
	if s := c.String("s"); s != "" {
		var err error
		if addr, err = netip.ParseAddr(s); err != nil {
			return usage("-s %q is not an IP address: give one of this machine's (see ip address)", s)
		}
		addr = addr.Unmap()
		if o.network == "tcp4" && addr.Is6() || o.network == "tcp6" && addr.Is4() {
			return usage("-s %s is not of the family that -%c asks for", s, o.network[3])
		}
	}
	var port uint16
	if s := c.String("p"); s != "" {
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
			return usage("--send %q: a backslash must start one of Go's escapes, such as \\n, \\t, \\x41 or \\\\", text)
		}
		o.sends = append(o.sends, b)
	}
	return nil
}

func unescape(text string) ([]byte, error) {
	var b []byte
	for len(text) > 0 {
		r, multibyte, rest, err := strconv.UnquoteChar(text, 0)
		if err != nil {
			return nil, err
		}
		if multibyte {
			b = append(b, string(r)...)
		} else {
			b = append(b, byte(r))
		}
		text = rest
	}
	return b, nil
}

// port reads a port number or, without -n, the name of a service.
func (o *options) port(s string) (uint16, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 65535 {
			return 0, usage("port %s is out of range: ports go from 1 to 65535", s)
		}
		return uint16(n), nil
	}
	if from, to, ok := cutRange(s); ok {
		return 0, usage("%s is a range of ports, and rawnc holds one conversation at a time: give one port, such as %d (and not %d)", s, from, to)
	}
	if o.numeric {
		return 0, usage("port %q is not a number, and -n forbids to look up names: give a number from 1 to 65535", s)
	}
	n, err := net.LookupPort("tcp", s)
	if err != nil || n == 0 {
		return 0, usage("port %q is neither a number from 1 to 65535 nor the name of a service, such as http", s)
	}
	return uint16(n), nil
}

func cutRange(s string) (from, to int, ok bool) {
	n, err := fmt.Sscanf(s, "%d-%d", &from, &to)
	return from, to, n == 2 && err == nil
}

// host checks HOST where -n forbids names.
func (o *options) host(s string) error {
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil && o.numeric:
		return usage("host %q is not an IP address, and -n forbids to look up names", s)
	case err == nil && o.network == "tcp4" && !addr.Unmap().Is4():
		return usage("host %s is an IPv6 address, and -4 asks for IPv4: leave -4 out", s)
	case err == nil && o.network == "tcp6" && addr.Unmap().Is4():
		return usage("host %s is an IPv4 address, and -6 asks for IPv6: leave -6 out", s)
	case err == nil && o.local.Addr().IsValid() && o.local.Addr().Is4() != addr.Unmap().Is4():
		return usage("-s %v and host %s are of different families: one is IPv4, the other IPv6", o.local.Addr(), s)
	}
	return nil
}

func (o *options) dialer(tap rawtcp.Tap) *rawtcp.Dialer {
	return &rawtcp.Dialer{LocalAddr: o.local, Timeout: o.timeout, Config: o.config, ISN: o.isn, TTL: o.ttl, Tap: tap}
}

func (o *options) listenConfig(tap rawtcp.Tap) *rawtcp.ListenConfig {
	return &rawtcp.ListenConfig{Config: o.config, ISN: o.isn, TTL: o.ttl, Tap: tap}
}
