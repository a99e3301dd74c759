package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/urfave/cli/v2"

	"rawnc/rawtcp"
)

func listenCommand() *cli.Command {
	return &cli.Command{
		Name:      "listen",
		Usage:     "wait for a connection, send what is typed, print what comes",
		ArgsUsage: "[ADDRESS] PORT",
		Action:    listen,
		Flags: append(commonFlags(),
			&cli.BoolFlag{Name: "k", Usage: "when a connection has ended, wait for the next"},
			&cli.BoolFlag{Name: "l", Usage: "listen (rawnc listen always does; accepted for nc's sake)"},
			&cli.StringFlag{Name: "p", Usage: "the `PORT`, in place of the argument"},
		),
	}
}

func listen(c *cli.Context) (err error) {
	o, err := readOptions(c)
	if err != nil {
		return err
	}
	args := c.Args().Slice()
	if o.local.Port() != 0 {
		args = append(args, strconv.Itoa(int(o.local.Port())))
	}
	host := ""
	if o.local.Addr().IsValid() {
		host = o.local.Addr().String()
	}
	if len(args) == 2 && host == "" {
		host, args = args[0], args[1:]
	}
	if len(args) != 1 {
		return usage("listen takes a PORT, such as rawnc listen 8113, and perhaps the ADDRESS before it")
	}
	port, err := o.port(args[0])
	if err != nil {
		return err
	}
	if host != "" {
		if err := o.host(host); err != nil {
			return err
		}
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
	ln, err := o.listenConfig(rec.tap).Listen(signals.ctx, o.network, net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return explainListen(err, host, port)
	}
	defer ln.Close()
	out, err := openOutput(o)
	if err != nil {
		return err
	}
	in := newInput(o)
	if !o.quiet && !o.json {
		fmt.Fprintf(os.Stderr, "rawnc: listening on %v\n", ln.Addr())
	}
	for {
		conn, err := acceptUntil(signals, ln)
		if err != nil {
			return err
		}
		if !o.keepGoing {
			ln.Close() // as nc: one connection, and nobody waits for another
		}
		s := &session{conn: conn, options: o, out: out, signals: signals, input: in, keep: o.keepGoing}
		if err := s.run(); !o.keepGoing || errors.As(err, new(exitCode)) {
			return err
		} else if err != nil {
			fmt.Fprintln(os.Stderr, "rawnc:", err)
		}
	}
}

// acceptUntil waits for a connection or a signal.
func acceptUntil(signals *signals, ln net.Listener) (*rawtcp.Conn, error) {
	accepted := make(chan struct{})
	defer close(accepted)
	go func() {
		select {
		case <-signals.ctx.Done():
			ln.Close()
		case <-accepted:
		}
	}()
	conn, err := ln.Accept()
	if err != nil {
		if signals.ctx.Err() != nil {
			return nil, signals.exit()
		}
		return nil, err
	}
	return conn.(*rawtcp.Conn), nil
}

func explainListen(err error, host string, port uint16) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, rawtcp.ErrPermission):
		return unwrapOp(err)
	case errors.As(err, &dns):
		return fmt.Errorf("unknown host %s: %s; give an address of this machine", dns.Name, dns.Err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d is in use on this machine: another program listens there (see ss -ltnp); choose another port", port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine: see ip address", host)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d needs a privilege to listen on (CAP_NET_BIND_SERVICE): choose one above 1023, or 'setcap cap_net_raw,cap_net_bind_service+ep' on the program", port)
	}
	return fmt.Errorf("cannot listen on port %d: %w", port, unwrapOp(err))
}
