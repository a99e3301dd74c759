package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"rawnc/pcapout"
	"rawnc/rawtcp"
)

// A capture is the file of --pcap. Its first error is said at once and ends it;
// the connection goes on without.
type capture struct {
	name    string
	file    *os.File
	w       *pcapout.Writer
	err     error
	over    atomic.Bool // err is set
	writing sync.Mutex  // to the file
}

// createCapture creates the file, which must not be the one where received data goes.
func createCapture(name string, out *os.File) (*capture, error) {
	c := &capture{name: name, file: os.Stdout}
	var err error
	if name == "-" {
		c.name = "on standard output"
	} else if c.file, err = createFile(name); err != nil {
		return nil, fmt.Errorf("--pcap: %w", err)
	}
	if sameFile(c.file, out) {
		return nil, fmt.Errorf("--pcap %s is the file that what is received goes to: give another name", name)
	}
	c.w, err = pcapout.NewWriter(c.file, pcapout.FormatFor(name), pcapout.Meta{
		CommandLine: commandLine(os.Args),
		Version:     "rawnc " + version(),
		OS:          runtime.GOOS,
	})
	if err != nil {
		return nil, fmt.Errorf("--pcap: %w: nothing was sent; give a file that can be written", err)
	}
	return c, nil
}

// sameFile reports whether two files are one, of which each would overwrite what the
// other has written. A device may be both.
func sameFile(a, b *os.File) bool {
	i, err := a.Stat()
	j, failure := b.Stat()
	return err == nil && failure == nil && i.Mode()&os.ModeDevice == 0 && os.SameFile(i, j)
}

// commandLine is the arguments as a shell takes them.
func commandLine(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = arg
		if arg == "" || strings.ContainsAny(arg, " \t\n\\'\"`$&|;<>()*?[]{}~#!") {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func (c *capture) write(e *rawtcp.Event, comment string) {
	dir := pcapout.In
	if e.Sent {
		dir = pcapout.Out
	}
	c.failed(c.w.WritePacket(pcapout.Packet{Time: e.Time, Dir: dir, Data: e.Packet, Comments: []string{comment}}))
}

func (c *capture) flush() {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.failed(c.w.Flush())
}

func (c *capture) failed(err error) {
	if err == nil || c.err != nil {
		return
	}
	c.err = err
	c.over.Store(true)
	report(fmt.Errorf("the capture %s ends here: %w; the connection goes on without it", c.name, err))
}

// close ends the file. The error has been said.
func (c *capture) close(dropped uint64) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.err == nil {
		c.failed(errors.Join(c.w.Close(dropped), c.file.Close()))
	}
	if c.err != nil || dropped > 0 {
		return exitCode(exitFailed)
	}
	return nil
}
