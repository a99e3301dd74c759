package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
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
type dialer struct {
	dial  func(ctx context.Context, address string) (net.Conn, error)
	leave func(context.Context) error // wait until what was closed is; nil: it is the kernel's affair, or nobody's
}

var contenders = map[string]func() (*dialer, error){
	"kernel": func() (*dialer, error) {
		return &dialer{dial: func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp4", address)
		}}, nil
	},
	"raw":    func() (*dialer, error) { return ours(rawtcp.RawLink) },
	"packet": func() (*dialer, error) { return ours(rawtcp.PacketLink) },
}

func ours(open func() (rawtcp.Link, error)) (*dialer, error) {
	link, err := open()
	if err != nil {
		return nil, err
	}
	d := &rawtcp.Dialer{Host: rawtcp.NewHost(link)}
	return &dialer{func(ctx context.Context, address string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp4", address)
	}, d.Host.Shutdown}, nil
}

// client does one job and prints the result.
func client(args []string) error {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	name := flags.String("contender", "kernel", "who")
	job := flags.String("job", "up", "what")
	n := flags.Int64("n", 0, "how many octets, round trips or connections")
	idle := flags.Int("idle", 0, "connections that are open beside, and idle")
	active := flags.Int("active", 1, "connections that share an upload")
	slow := flags.Bool("slow", false, "begin with slow start, where that is left out")
	goroutines := flags.Bool("goroutines", false, "let goroutines wait, where one loop does all")
	to := flags.String("peer", "", "the far end's address")
	profile := flags.String("profile", "", "write a CPU profile to this file")
	flags.Parse(args)
	peer, err := netip.ParseAddr(*to)
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
	t := task{*job, *n, *idle, *active, *slow, *goroutines, peer}
	var do func() error
	var end func()
	if open, ok := leasts[*name]; ok {
		do, end, err = prepareLeast(open, t)
	} else if open, ok := contenders[*name]; ok {
		do, end, err = prepare(ctx, open, t)
	} else {
		err = fmt.Errorf("there is no contender %q", *name)
	}
	if err != nil {
		return err
	}
	defer end()
	theirs, own, start := serverCPU(nil, peer), ownCPU(), time.Now()
	if err := do(); err != nil {
		return err
	}
	r := result{Count: *n, Seconds: time.Since(start).Seconds(), CPU: ownCPU() - own}
	r.AllCPU = r.CPU + serverCPU(nil, peer) - theirs
	return json.NewEncoder(os.Stdout).Encode(r)
}

// A task is a job to do.
type task struct {
	job          string
	n            int64 // octets, round trips or connections
	idle, active int   // connections
	slow         bool  // least only: begin with slow start
	goroutines   bool  // least only: let goroutines wait
	peer         netip.Addr
}

// prepare opens what is open before the clock starts. do does the job, and end
// comes when the clock has stopped.
func prepare(ctx context.Context, open func() (*dialer, error), t task) (do func() error, end func(), err error) {
	d, err := open()
	if err != nil {
		return nil, nil, err
	}
	connect := func(port uint16) (net.Conn, error) { return d.dial(ctx, netip.AddrPortFrom(t.peer, port).String()) }
	var beside, sharing []net.Conn
	if t.idle > 0 || t.active > 1 {
		if beside, err = crowd(connect, echoPort, t.idle); err != nil {
			return nil, nil, err
		}
		if sharing, err = crowd(connect, sinkPort, t.active); err != nil {
			return nil, nil, err
		}
	}
	end = func() {
		disperse(append(beside, sharing...))
		if d.leave != nil {
			d.leave(ctx)
		}
	}
	return func() error {
		switch {
		case t.job == "up" && sharing != nil:
			return together(sharing, t.n)
		case t.job == "up":
			return up(connect, t.n)
		case t.job == "down":
			return down(connect, t.n)
		case t.job == "pp":
			return pingPong(connect, t.n)
		case t.job == "conn1":
			return connections(connect, t.n, 1)
		case t.job == "conn64":
			return connections(connect, t.n, 64)
		}
		return fmt.Errorf("there is no job %q", t.job)
	}, end, nil
}

const chunk = 256 << 10

// source is what is uploaded, again and again. It is not all zeros: what nobody has
// written to is one page of the kernel's, which is read faster than any program's
// own memory.
var source = bytes.Repeat([]byte("rawnc..."), chunk/8)

func up(dial func(port uint16) (net.Conn, error), n int64) error {
	c, err := dial(sinkPort)
	if err != nil {
		return err
	}
	defer c.Close()
	return upload(c, n)
}

func upload(c net.Conn, n int64) error {
	if err := binary.Write(c, binary.BigEndian, n); err != nil {
		return err
	}
	for left := n; left > 0; {
		k, err := c.Write(source[:min(left, chunk)])
		if left -= int64(k); err != nil {
			return err
		}
	}
	var done [1]byte
	_, err := io.ReadFull(c, done[:])
	return err
}

// crowd opens so many connections.
func crowd(dial func(port uint16) (net.Conn, error), port uint16, n int) ([]net.Conn, error) {
	conns := make([]net.Conn, n)
	var all errgroup.Group
	all.SetLimit(64)
	for i := range conns {
		all.Go(func() (err error) {
			conns[i], err = dial(port)
			return err
		})
	}
	return conns, all.Wait()
}

// disperse ends connections with a RST, so that nothing of them is left when the
// next contender comes.
func disperse(conns []net.Conn) {
	for _, c := range conns {
		c.(interface{ SetLinger(int) error }).SetLinger(0)
		c.Close()
	}
}

// together has all connections upload an equal share.
func together(conns []net.Conn, n int64) error {
	var all errgroup.Group
	for _, c := range conns {
		all.Go(func() error { return upload(c, n/int64(len(conns))) })
	}
	return all.Wait()
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
