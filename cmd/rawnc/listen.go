package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"rawnc/rawtcp"
)

func listenCommand() *cli.Command {
	return &cli.Command{
		Name:            "listen",
		Usage:           "wait for a connection, send what is typed, print what comes",
		ArgsUsage:       "[ADDRESS] PORT",
		Action:          listen,
		HideHelpCommand: true,
		Flags: append(commonFlags(),
			boolFlag("k", "when a connection has ended, wait for the next"),
			boolFlag("l", "listen: rawnc listen always does, the flag is there for nc's sake"),
			stringFlag("p", "the `PORT`, in place of the argument"),
			stringFlag("w", "give up a connection after `SECONDS` without anything moving on it"),
		),
	}
}

// readPlace reads the address, perhaps none, and the port to listen on.
func readPlace(c *cli.Context, o *options) (at destination, err error) {
	args := c.Args().Slice()
	if p := o.local.Port(); p != 0 {
		args = append(args, strconv.Itoa(int(p)))
	}
	if addr := o.local.Addr(); addr.IsValid() {
		args = append([]string{addr.String()}, args...)
	}
	switch len(args) {
	case 1:
	case 2:
		at.host, args = unbracketed(args[0]), args[1:]
		if err := o.checkHost(at.host); err != nil {
			return at, err
		}
	default:
		return at, errors.New("listen takes a PORT, such as rawnc listen 8113, and perhaps the ADDRESS before it")
	}
	at.port, err = o.port(args[0])
	return at, err
}

func listen(c *cli.Context) (err error) {
	o, err := readOptions(c)
	if err != nil {
		return err
	}
	at, err := readPlace(c, o)
	if err != nil {
		return err
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
	signals := catchSignals(rec.stop)
	defer signals.end()
	step, stdin, err := o.interview(c, rec, signals)
	if err != nil {
		return err
	}
	config := o.listenConfig(rec.tap(), step)
	if config.Host, err = o.host(nil, rec); err != nil {
		return explainListen(err, at, o)
	}
	ln, err := config.Listen(signals.ctx, o.network, at.String())
	if err != nil {
		return explainListen(err, at, o)
	}
	defer ln.Close()
	defer context.AfterFunc(signals.ctx, func() { ln.Close() })()
	input, keep := newInput(o, stdin), c.Bool("k")
	if at.host == "" {
		rec.say("rawnc listens on port %d", at.port)
	} else {
		rec.say("rawnc listens on %v", at)
	}
	for {
		conn, err := ln.Accept()
		switch {
		case err != nil && signals.ctx.Err() != nil:
			rec.say("%s: rawnc listens no more", signalName(<-signals.more))
			return signals.exit()
		case err != nil:
			return fmt.Errorf("cannot wait for a connection: %w", unwrapOp(err))
		case !keep:
			ln.Close() // as nc: one connection, and nobody waits for another
		}
		s := &session{conn: conn.(*rawtcp.Conn), options: o, input: input, out: out, log: rec, signals: signals, step: step, keep: keep}
		if err := s.run(s.talk); !keep || s.interrupted {
			return err
		} else if err != nil {
			rec.complain(err)
		}
	}
}
