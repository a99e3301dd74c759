package capture_test

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rawnc/pcapout"
	"rawnc/rawtcp"
)

// Our own stack over a link with faults, captured where they have happened.
func TestAgreesWithWiresharkOnFaults(t *testing.T) {
	for name, faults := range map[string]rawtcp.Faults{
		"reordered":  {Reorder: 0.1},
		"duplicated": {Duplicate: 0.2},
		"corrupted":  {Corrupt: 0.1},
		"dropped":    {Drop: 0.05},
		"everything": {Drop: 0.02, Duplicate: 0.05, Reorder: 0.05, Corrupt: 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, atReceiver := range []bool{true, false} {
				agrees(t, faulty(t, faults, atReceiver, writePacket))
			}
		})
	}
}

func writePacket(w *pcapout.Writer, e *rawtcp.Event) {
	if e.Packet != nil && e.Err == nil {
		w.WritePacket(pcapout.Packet{Time: e.Time, Data: e.Packet})
	}
}

// faulty sends something and has it echoed. At one of the ends, write is told of
// every packet. It returns the capture.
func faulty(t *testing.T, faults rawtcp.Faults, atReceiver bool, write func(*pcapout.Writer, *rawtcp.Event)) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "faults.pcapng")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pcapout.NewWriter(f, pcapout.PCAPNG, pcapout.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	tap := func(e *rawtcp.Event) { write(w, e) }
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	linkA, linkB := rawtcp.MemoryPair(a, b, 1500)
	client, server := rawtcp.NewHost(rawtcp.WithFaults(linkA, faults, faults)), rawtcp.NewHost(linkB)
	lc, d := rawtcp.ListenConfig{Host: server}, rawtcp.Dialer{Host: client}
	if atReceiver {
		lc.Tap = tap
	} else {
		d.Tap = tap
	}
	l, err := lc.Listen(t.Context(), "tcp", "192.0.2.2:7")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := d.Dial("tcp", "192.0.2.2:7")
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	go func() {
		c.Write(make([]byte, 200_000))
		c.(*rawtcp.Conn).CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, c); n != 200_000 || err != nil {
		t.Fatalf("%d octets came back: %v", n, err)
	}
	c.Close()
	client.Close()
	server.Close() // the last call of the tap
	if err := errors.Join(w.Close(0), f.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}
