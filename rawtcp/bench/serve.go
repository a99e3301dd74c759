package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"

	"rawnc/rawtcp/lab"
)

// The ports of the far end.
const (
	sinkPort   = 9001 + iota // 8 octets say how many follow; it answers with one when it has them all
	sourcePort               // 8 octets ask for so many
	echoPort
	cpuPort // tells the CPU time of the far end, in seconds
)

// serve is the far end: a plain Go program on the kernel's TCP. It ends with its
// standard input.
func serve(address string) error {
	for port, do := range map[int]func(*net.TCPConn){
		sinkPort: func(c *net.TCPConn) {
			buf := make([]byte, 256<<10)
			n, err := length(c)
			for k := 0; n > 0 && err == nil; n -= int64(k) {
				k, err = c.Read(buf)
			}
			c.Write(buf[:1])
			io.Copy(io.Discard, c)
		},
		sourcePort: func(c *net.TCPConn) {
			buf := make([]byte, 256<<10)
			n, err := length(c)
			for k := 0; n > 0 && err == nil; n -= int64(k) {
				k, err = c.Write(buf[:min(n, int64(len(buf)))])
			}
		},
		echoPort: func(c *net.TCPConn) {
			var b [2048]byte
			for {
				n, err := c.Read(b[:])
				if err != nil {
					return
				}
				if _, err := c.Write(b[:n]); err != nil {
					return
				}
			}
		},
		cpuPort: func(c *net.TCPConn) { fmt.Fprintln(c, ownCPU()) },
	} {
		l, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", address, port))
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					do(c.(*net.TCPConn))
				}()
			}
		}()
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return nil
}

func length(c net.Conn) (int64, error) {
	var b [8]byte
	_, err := io.ReadFull(c, b[:])
	return int64(binary.BigEndian.Uint64(b[:])), err
}

// ownCPU is the CPU time of this process, in seconds. What the kernel does for
// incoming packets on its time counts as its own.
func ownCPU() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return seconds(&u)
}

// serverCPU asks the far end for its CPU time, from a host or, with nil, from
// where this process is.
func serverCPU(from *lab.Host, peer netip.Addr) (s float64) {
	ask := func() error {
		c, err := net.Dial("tcp4", netip.AddrPortFrom(peer, cpuPort).String())
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = fmt.Fscan(c, &s)
		return err
	}
	if from == nil {
		ask()
	} else {
		from.Do(ask)
	}
	return s
}
