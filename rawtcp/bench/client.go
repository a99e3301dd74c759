package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"rawnc/rawtcp"
)

// A dialer is what a contender is.
type dialer func(ctx context.Context, address string) (net.Conn, error)

var contenders = map[string]func() (dialer, error){
	"kernel": func() (dialer, error) {
		return func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp4", address)
		}, nil
	},
	"raw":    func() (dialer, error) { return ours(rawtcp.RawLink) },
	"packet": func() (dialer, error) { return ours(rawtcp.PacketLink) },
}

func ours(open func() (rawtcp.Link, error)) (dialer, error) {
	link, err := open()
	if err != nil {
		return nil, err
	}
	d := &rawtcp.Dialer{Host: rawtcp.NewHost(link)}
	return func(ctx context.Context, address string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp4", address)
	}, nil
}

// client does one job and prints the result.
func client(args []string) error {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	name := flags.String("contender", "kernel", "who")
	job := flags.String("job", "up", "what")
	n := flags.Int64("n", 0, "how many octets, round trips or connections")
	to := flags.String("peer", "", "the far end's address")
	profile := flags.String("profile", "", "write a CPU profile to this file")
	flags.Parse(args)
	peer, err := netip.ParseAddr(*to)
	if err != nil {
		return err
	}
	open, ok := contenders[*name]
	if !ok {
		return fmt.Errorf("there is no contender %q", *name)
	}
	dial, err := open()
	if err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	connect := func(port uint16) (net.Conn, error) { return dial(ctx, netip.AddrPortFrom(peer, port).String()) }
	theirs, own, start := serverCPU(nil, peer), ownCPU(), time.Now()
	switch *job {
	case "up":
		err = up(connect, *n)
	case "down":
		err = down(connect, *n)
	case "pp":
		err = pingPong(connect, *n)
	case "conn1":
		err = connections(connect, *n, 1)
	case "conn64":
		err = connections(connect, *n, 64)
	default:
		err = errors.New("there is no such job")
	}
	if err != nil {
		return err
	}
	r := result{Count: *n, Seconds: time.Since(start).Seconds(), CPU: ownCPU() - own}
	r.AllCPU = r.CPU + serverCPU(nil, peer) - theirs
	return json.NewEncoder(os.Stdout).Encode(r)
}

const chunk = 256 << 10

func up(dial func(port uint16) (net.Conn, error), n int64) error {
	c, err := dial(sinkPort)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := binary.Write(c, binary.BigEndian, n); err != nil {
		return err
	}
	buf := make([]byte, chunk)
	for left := n; left > 0; {
		k, err := c.Write(buf[:min(left, chunk)])
		if left -= int64(k); err != nil {
			return err
		}
	}
	_, err = io.ReadFull(c, buf[:1])
	return err
}

func down(dial func(port uint16) (net.Conn, error), n int64) error {
	c, err := dial(sourcePort)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := binary.Write(c, binary.BigEndian, n); err != nil {
		return err
	}
	buf := make([]byte, chunk)
	for left := n; left > 0; {
		k, err := c.Read(buf)
		if left -= int64(k); err != nil && left > 0 {
			return err
		}
	}
	return nil
}

func pingPong(dial func(port uint16) (net.Conn, error), n int64) error {
	c, err := dial(echoPort)
	if err != nil {
		return err
	}
	defer c.Close()
	b := []byte{1}
	for range n {
		if _, err := c.Write(b); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
	}
	return nil
}

// connections opens, uses and closes connections, some at once.
func connections(dial func(port uint16) (net.Conn, error), n, atOnce int64) error {
	var done atomic.Int64
	var all errgroup.Group
	for range atOnce {
		all.Go(func() error {
			b := make([]byte, 16)
			for done.Add(1) <= n {
				c, err := dial(echoPort)
				if err != nil {
					return err
				}
				if _, err = c.Write(b); err == nil {
					_, err = io.ReadFull(c, b)
				}
				if c.Close(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}
