// Package pcapout writes captures: pcapng with a comment on every packet, or
// classic pcap. A file can be read at any moment, for only whole records leave
// (a process that is killed while it writes may leave half of the last), and the
// same input gives the same bytes.
package pcapout

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Format is a capture file format.
type Format uint8

// The formats. Classic pcap, with nanoseconds, has no room for comments,
// directions and statistics, and leaves them out.
const (
	PCAPNG Format = iota
	PCAP
)

// FormatFor chooses by the file name's extension: PCAP for .pcap, else PCAPNG.
func FormatFor(filename string) Format {
	if strings.EqualFold(filepath.Ext(filename), ".pcap") {
		return PCAP
	}
	return PCAPNG
}

// LinkTypeRaw is LINKTYPE_RAW: a packet starts with its IPv4 or IPv6 header.
const LinkTypeRaw = 101

// Meta describes a capture. What is empty is left out of the file.
type Meta struct {
	CommandLine string // becomes the section's comment, with Version
	Version     string // the program's name and version
	Hardware    string
	OS          string
	Interface   string // the interface's name
	LinkType    uint16 // LINKTYPE_* number; default LinkTypeRaw
	NoInterface bool   // PCAPNG: there is none but those that AddInterface adds
}

// A Direction is which way a packet went.
type Direction uint8

// The directions, with pcapng's numbers.
const (
	Unknown Direction = iota
	In
	Out
)

// A Packet is a record of a capture.
type Packet struct {
	Time      time.Time // 1970 to 2554; in PCAP, to 2106
	Interface int       // where it was captured: 0 for Meta's, else what AddInterface returned
	Dir       Direction
	Data      []byte   // at most 262144 octets
	Length    int      // octets on the wire, where they are more than Data
	Comments  []string // UTF-8, each at most 65535 octets: what is longer is cut
}

// maxPacket is the longest packet that Wireshark takes.
const maxPacket = 262144

// A Writer writes a capture. Records gather in memory until Flush gives them to
// the underlying writer, all in one Write. An error of the underlying writer
// stays: nothing is written behind a record that may be half there, and from a
// file, which can be truncated, that half is taken away.
type Writer struct {
	w       io.Writer
	format  Format
	buf     []byte // whole records
	ends    []int  // in buf, of the packets
	err     error
	packets []uint64  // by interface
	last    time.Time // of the packet before
}

// NewWriter writes the file's header to w and returns a Writer for the packets.
func NewWriter(w io.Writer, format Format, meta Meta) (*Writer, error) {
	if meta.LinkType == 0 {
		meta.LinkType = LinkTypeRaw
	}
	cw := &Writer{w: w, format: format, last: time.Unix(0, 0)}
	if format == PCAP {
		cw.buf = appendFileHeader(cw.buf, meta.LinkType)
		cw.packets = make([]uint64, 1)
	} else {
		cw.buf = appendSectionHeader(cw.buf, &meta)
		if !meta.NoInterface {
			cw.AddInterface(meta.Interface, meta.LinkType)
		}
	}
	if err := cw.Flush(); err != nil {
		return nil, err
	}
	return cw, nil
}

// AddInterface adds an interface, which reaches the file with the next Flush, and
// returns the number that its packets name. PCAP has no room for more than one.
func (w *Writer) AddInterface(name string, linkType uint16) (int, error) {
	if w.format == PCAP {
		return 0, errors.New("a classic pcap holds one interface; pcapng holds more")
	}
	w.buf = appendInterface(w.buf, name, linkType)
	w.packets = append(w.packets, 0)
	return len(w.packets) - 1, nil
}

// WritePacket adds a packet, which reaches the file with the next Flush. It
// keeps nothing of p. A packet that the format cannot hold is refused, and those
// after it are not affected.
func (w *Writer) WritePacket(p Packet) error {
	if w.err != nil {
		return w.err
	}
	if len(p.Data) > maxPacket {
		return fmt.Errorf("a packet of %d octets is more than a capture holds (%d)", len(p.Data), maxPacket)
	}
	if p.Interface < 0 || p.Interface >= len(w.packets) {
		return fmt.Errorf("the capture has no interface %d", p.Interface)
	}
	latest := int64(math.MaxUint64/1_000_000_000 - 1)
	if w.format == PCAP {
		latest = 1<<32 - 1
	}
	if s := p.Time.Unix(); s < 0 || s > latest {
		return errors.New("the time " + p.Time.String() + " is outside what a capture can tell")
	}
	if w.format == PCAP {
		w.buf = appendRecord(w.buf, &p)
	} else {
		w.buf = appendEnhancedPacket(w.buf, &p)
	}
	w.ends = append(w.ends, len(w.buf))
	w.packets[p.Interface]++
	w.last = p.Time
	return nil
}

// Flush gives the packets that wait to the underlying writer. The error is the
// underlying writer's, and every later call returns it too.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	n, err := w.w.Write(w.buf)
	if err == nil && n < len(w.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.cut(n)
	}
	w.err, w.buf, w.ends = err, w.buf[:0], w.ends[:0]
	return err
}

// cut takes away what the last n octets that reached a file have of half a
// record.
func (w *Writer) cut(n int) {
	file, ok := w.w.(interface {
		io.Seeker
		Truncate(size int64) error
	})
	if !ok {
		return
	}
	whole := 0
	for _, end := range w.ends {
		if end <= n {
			whole = end
		}
	}
	if at, err := file.Seek(0, io.SeekCurrent); err == nil {
		file.Truncate(at - int64(n-whole)) // an error says that it is a device or a pipe
	}
}

// Close says how many packets there were that the capture lacks, and flushes.
// It does not close the underlying writer. Later calls return os.ErrClosed.
func (w *Writer) Close(dropped uint64) error {
	if w.err != nil {
		return w.err
	}
	if w.format == PCAPNG {
		for i, n := range w.packets {
			w.buf = appendStatistics(w.buf, i, w.last, n+dropped, dropped)
			dropped = 0 // all were missed at the first
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w.err = os.ErrClosed
	return nil
}
