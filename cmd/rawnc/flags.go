package main

import "github.com/urfave/cli/v2"

// commonFlags are those of connect and listen. Where nc has the letter, it
// means what it means in OpenBSD's nc.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		boolFlag("4", "IPv4 only"),
		boolFlag("6", "IPv6 only"),
		boolFlag("d", "do not read standard input"),
		stringFlag("i", "wait `SECONDS` between the lines that are sent"),
		boolFlag("N", "send FIN when standard input ends: rawnc always does, the flag is there for nc's sake"),
		boolFlag("n", "HOST and PORT are numbers: look no name up"),
		stringFlag("q", "quit `SECONDS` after standard input has ended and all of it is acknowledged; below 0: wait for the peer (the default)"),
		stringFlag("s", "use the local `ADDRESS`"),
		verboseFlag(),

		&cli.StringSliceFlag{Name: "send", Usage: "send `TEXT` in place of standard input, with Go's escapes (\\n); when it is repeated, each waits until the one before is acknowledged"},
		boolFlag("no-wait", "with --send: wait for no acknowledgment"),
		stringFlag("output", "write what is received to `FILE`, not to standard output", "o"),

		stringFlag("pcap", "write the capture to `FILE`: pcapng with a comment on each packet, or classic for *.pcap; - is standard output"),
		&cli.StringFlag{Name: "format", Value: "text", Usage: "`text|json`: how the log is written"},
		boolFlag("quiet", "no log: errors only"),
		boolFlag("step", "show each segment before it is sent, and ask: send it, skip it, edit it, or run on"),
		quizFlag(),
		langFlag(),

		stringFlag("isn", "the initial sequence `NUMBER`, 0 to 4294967295, in place of one that nobody can guess"),
		&cli.StringFlag{Name: "link", Value: "raw", Usage: "`raw|packet`: send through raw IP sockets, or past the machine's own firewall through packet sockets, which leave it to the network card to cut segments: faster, Ethernet only"},
		stringFlag("mss", "announce and send segments of at most `OCTETS`"),
		stringFlag("window", "offer a receive window of at most `OCTETS`"),
		stringFlag("ttl", "the packets' time to live is `N`, 1 to 255 (IPv6: hop limit)"),
		boolFlag("no-timestamps", "do without timestamps (RFC 7323)"),
		boolFlag("no-sack", "do without selective acknowledgments (RFC 2018)"),
		boolFlag("no-window-scale", "do without window scaling (RFC 7323)"),
		boolFlag("ecn", "let routers mark congestion instead of dropping: explicit congestion notification (RFC 3168)"),
		boolFlag("no-delay", "switch the Nagle algorithm off: small segments do not wait for an ACK"),
		stringFlag("keep-alive", "after `SECONDS` of silence ask the peer whether it is there"),
	}
}

// verboseFlag counts, for level.
func verboseFlag() cli.Flag {
	return &cli.BoolFlag{
		Name: "v", Usage: "show under each segment where its numbers come from, and what it means; -vv: everything",
		Count: new(int), DisableDefaultText: true,
	}
}

// level is how much there is to be said of a segment (explain.TextStyle).
func level(c *cli.Context) int { return min(c.Count("v"), 2) }

func quizFlag() cli.Flag {
	return boolFlag("quiz", "ask for the numbers and the states before the log tells them, and keep the score")
}

func boolFlag(name, usage string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
}

func stringFlag(name, usage string, aliases ...string) *cli.StringFlag {
	return &cli.StringFlag{Name: name, Usage: usage, Aliases: aliases}
}
