package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
)

func connectCommand() *cli.Command {
	return &cli.Command{
		Name:            "connect",
		Usage:           "open a connection, send what is typed, print what comes",
		ArgsUsage:       "HOST PORT",
		Action:          connect,
		HideHelpCommand: true,
		Flags: append(commonFlags(),
			stringFlag("p", "come from the local `PORT`", "source-port"),
			stringFlag("w", "give up after `SECONDS` without a connection, or without anything moving on it"),
			boolFlag("z", "connect and close, send nothing"),
			boolFlag("lab", "connect inside a private network in which this machine's kernel serves HOST and PORT: needs no root and no internet"),
			&cli.StringSliceFlag{Name: "fault", Usage: "do something to segments, as in `'drop out data 2'`, 'delay in ACK 1 by 50ms' or 'corrupt 5% of out data'; may be repeated (docs/scenarios.md)"},
			&cli.StringFlag{Name: "lab-server", Value: string(lab.Sink), Usage: "`sink|echo|chat`: what the far side of --lab does"},
		),
	}
}

// A destination is HOST and PORT, checked.
type destination struct {
	host string
	port uint16
}

func (d destination) String() string { return net.JoinHostPort(d.host, strconv.Itoa(int(d.port))) }

func readDestination(c *cli.Context, o *options) (d destination, err error) {
	if c.NArg() != 2 {
		return d, fmt.Errorf("connect takes a HOST and a PORT, such as rawnc connect 192.0.2.80 8113; arguments given: %d", c.NArg())
	}
	d.host = unbracketed(c.Args().Get(0))
	if d.port, err = o.port(c.Args().Get(1)); err != nil {
		return d, err
	}
	return d, o.checkHost(d.host)
}

// address is the destination as an address, which the lab needs: no names are
// known there.
func (d destination) address() (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(d.host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--lab: no names are known there: give an address for %q, such as 192.0.2.80", d.host)
	}
	return netip.AddrPortFrom(addr, d.port), nil
}

func connect(c *cli.Context) (err error) {
	o, err := readOptions(c)
	if err != nil {
		return err
	}
	to, err := readDestination(c, o)
	if err != nil {
		return err
	}
	if c.Bool("z") && o.sends != nil {
		return errors.New("-z sends nothing: leave -z or --send out")
	}
	faults, err := readFaults(c)
	if err != nil {
		return err
	}
	mode, err := labMode(c)
	if err != nil {
		return err
	}
	var far netip.AddrPort
	if mode != "" {
		if far, err = to.address(); err != nil {
			return err
		}
		if err := lab.Enter(); err != nil { // first of all: the program starts again in there
			return err
		}
	}
	out, err := openOutput(o)
	if err != nil {
		return err
	}
	rec, err := newRecorder(o, out)
	if err != nil {
		return err
	}
	defer func() {
		if end := rec.close(); err == nil {
			err = end
		}
	}()
	connected := make(chan *rawtcp.Conn, 1)
	if mode != "" {
		l, err := lab.Start(far, mode, func(line []byte) {
			conn := <-connected
			connected <- conn
			conn.Snapshot() // waits until the tap has heard of the segment with the line in it
			rec.say("lab: %v received %q", far.Addr(), line)
		})
		if err != nil {
			return err
		}
		defer l.Close()
	}
	signals := catchSignals(rec.stop)
	defer signals.end()
	step, stdin, err := o.interview(c, rec, signals)
	if err != nil {
		return err
	}
	dialer := o.dialer(rec.tap(), step)
	if dialer.Host, err = o.host(faults, rec); err != nil {
		return explainDial(err, to, o)
	}
	conn, err := dialer.DialContext(signals.ctx, o.network, to.String())
	if err != nil {
		var ended os.Signal
		if signals.ctx.Err() != nil {
			ended = <-signals.more // behind signals.end, it would end the program unsaid
		}
		signals.end()
		step.stop()
		if ended == nil {
			return explainDial(err, to, o)
		}
		rec.say("%s: there is no connection yet; rawnc gives up", signalName(ended))
		return signals.exit()
	}
	connected <- conn.(*rawtcp.Conn)
	s := &session{conn: conn.(*rawtcp.Conn), options: o, out: out, log: rec, signals: signals, step: step}
	if c.Bool("z") {
		return s.run(s.leave)
	}
	s.input = newInput(o, stdin)
	return s.run(s.talk)
}

// labMode is what the far side of --lab does, or nothing without --lab.
func labMode(c *cli.Context) (lab.Mode, error) {
	mode := lab.Mode(c.String("lab-server"))
	switch {
	case mode != lab.Sink && mode != lab.Echo && mode != lab.Chat:
		return "", fmt.Errorf("--lab-server %q: the far side can be sink, echo or chat", mode)
	case c.Bool("lab"):
		return mode, nil
	case c.IsSet("lab-server"):
		return "", errors.New("--lab-server goes with --lab")
	}
	return "", nil
}
