package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
)

func connectCommand() *cli.Command {
	return &cli.Command{
		Name:      "connect",
		Usage:     "open a connection, send what is typed, print what comes",
		ArgsUsage: "HOST PORT",
		Action:    connect,
		Flags: append(commonFlags(),
			&cli.StringFlag{Name: "p", Aliases: []string{"source-port"}, Usage: "come from the local `PORT`"},
			&cli.BoolFlag{Name: "z", Usage: "connect and close, send nothing"},
			&cli.BoolFlag{Name: "lab", Usage: "connect inside a private network in which HOST and PORT are served by this machine's kernel; no root, no internet"},
			&cli.StringFlag{Name: "lab-server", Value: string(lab.Sink), Usage: "what the far side of --lab does: `sink|echo|chat`"},
		),
	}
}

func connect(c *cli.Context) (err error) {
	o, err := readOptions(c)
	if err != nil {
		return err
	}
	if c.NArg() != 2 {
		return usage("connect takes a HOST and a PORT, such as rawnc connect 192.0.2.80 8113; %d arguments were given", c.NArg())
	}
	host := c.Args().Get(0)
	port, err := o.port(c.Args().Get(1))
	if err != nil {
		return err
	}
	if err := o.host(host); err != nil {
		return err
	}
	switch mode := lab.Mode(c.String("lab-server")); {
	case mode != lab.Sink && mode != lab.Echo && mode != lab.Chat:
		return usage("--lab-server %q: the far side can be sink, echo or chat", mode)
	case c.Bool("lab"):
		end, err := enterLab(host, port, mode, o.quiet)
		if err != nil {
			return err
		}
		defer end()
	case c.IsSet("lab-server"):
		return usage("--lab-server goes with --lab")
	}

	rec, err := newRecorder(o)
	if err != nil {
		return err
	}
	defer func() {
		if end := rec.close(); err == nil {
			err = end
		}
	}()
	signals := catchSignals(c.Context)
	defer signals.stop()
	target := net.JoinHostPort(host, strconv.Itoa(int(port)))
	start := time.Now()
	conn, err := o.dialer(rec.tap).DialContext(signals.ctx, o.network, target)
	if signals.ctx.Err() != nil {
		return interruptedDial(signals.ctx)
	}
	if err != nil {
		return explainDial(err, target, o, rec, time.Since(start))
	}
	out, err := openOutput(o)
	if err != nil {
		conn.Close()
		return err
	}
	s := &session{conn: conn.(*rawtcp.Conn), options: o, out: out, signals: signals, input: newInput(o)}
	return s.run()
}

// enterLab moves into the private network and starts its far side. It returns
// what ends it.
func enterLab(host string, port uint16, mode lab.Mode, quiet bool) (end func(), err error) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return nil, usage("--lab knows no names: give an address for %q", host)
	}
	if err := lab.Enter(); err != nil {
		return nil, err
	}
	l, err := lab.Start(netip.AddrPortFrom(addr, port), mode, func(line []byte) {
		if !quiet {
			fmt.Fprintf(os.Stderr, "lab: %s received %q\n", addr, line)
		}
	})
	if err != nil {
		return nil, err
	}
	return func() { l.Close() }, nil
}
