package main

import (
	"errors"
	"fmt"
	"os"

	"rawnc/pcapout"
	pcapin "rawnc/rawtcp/capture"
	"rawnc/stack/explain"
)

// An annotated is the capture of --pcap.
type annotated struct {
	name       string
	file       *os.File
	w          *pcapout.Writer
	interfaces map[pcapin.Interface]int
	waiting    int // packets that wait for a Flush
}

// createAnnotated creates the file, which must not be the one that is read.
func createAnnotated(name string, in *os.File) (*annotated, error) {
	switch {
	case name == "-":
		return nil, errors.New("--pcap -: standard output has the explanation; give the capture a file of its own")
	case pcapout.FormatFor(name) == pcapout.PCAP:
		return nil, fmt.Errorf("--pcap %s: a classic pcap has no comments; give a name that ends in .pcapng", name)
	}
	if out, err := os.Stat(name); err == nil {
		if read, err := in.Stat(); err == nil && os.SameFile(out, read) {
			return nil, fmt.Errorf("--pcap %s is the capture that is explained: give another name", name)
		}
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--pcap: %w", err)
	}
	c := &annotated{name: name, file: file, interfaces: map[pcapin.Interface]int{}}
	c.w, err = pcapout.NewWriter(file, pcapout.PCAPNG, pcapout.Meta{
		CommandLine: commandLine(os.Args), Version: "rawnc " + version(), NoInterface: true,
	})
	return c, c.failed(err)
}

// maxNames bounds the memory that the names of interfaces take.
const maxNames = 1000

// number is the interface's number in the file.
func (c *annotated) number(i pcapin.Interface) (int, error) {
	if len(c.interfaces) > maxNames {
		i.Name = ""
	}
	n, ok := c.interfaces[i]
	if ok {
		return n, nil
	}
	n, err := c.w.AddInterface(i.Name, i.LinkType)
	c.interfaces[i] = n
	return n, err
}

// write adds a packet, with the comments that it has already and, if there is
// an account of it, ours.
func (c *annotated) write(p *pcapin.Packet, a *explain.Account) error {
	n, err := c.number(p.Interface)
	if err != nil {
		return c.failed(err)
	}
	comments := p.Comments()
	if a != nil {
		comments = append(comments, explain.Comment(a))
	}
	err = c.w.WritePacket(pcapout.Packet{
		Time: p.Time, Interface: n, Dir: pcapout.Direction(p.Dir), Data: p.Data, Length: p.Length, Comments: comments,
	})
	if c.waiting++; err == nil && c.waiting == 1000 {
		c.waiting = 0
		err = c.w.Flush()
	}
	return c.failed(err)
}

func (c *annotated) failed(err error) error {
	if err != nil {
		return fmt.Errorf("--pcap %s: %w", c.name, err)
	}
	return nil
}

func (c *annotated) close() error {
	return c.failed(errors.Join(c.w.Close(0), c.file.Close()))
}
