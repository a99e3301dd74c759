package rawtcp_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
)

// capture runs a tcpdump beside a host and tells of every IP packet that
// crosses its end of the cable, from its own goroutine, until stop is called.
// What the kernel's offloading makes larger than 2 KB is cut short. stop returns when all that was sent before it has been told, and reports
// whether tcpdump missed nothing.
func capture(t testing.TB, at *lab.Host, peer netip.Addr, tell func(sent bool, packet []byte)) (stop func() (complete bool)) {
	t.Helper()
	labtest.NeedPrograms(t, "tcpdump")
	var mac net.HardwareAddr
	err := at.Do(func() error {
		i, err := net.InterfaceByName(lab.Interface)
		if err == nil {
			mac = i.HardwareAddr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dump := at.Command("tcpdump", "-i", lab.Interface, "-s", "2048", "--immediate-mode", "-B", "131072", "-U", "-w", "-", "-Z", "root")
	out, err := dump.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	messages, err := dump.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dump.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for line := make([]byte, 512); !strings.Contains(said.String(), "listening on"); {
		n, err := messages.Read(line)
		said.Write(line[:n])
		if err != nil {
			t.Fatalf("tcpdump: %s", said.String())
		}
	}
	mark := []byte("the test is over")
	marked, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		r, err := pcapgo.NewReader(out)
		if err != nil {
			t.Errorf("tcpdump: %v", err)
			return
		}
		over := false
		for {
			frame, _, err := r.ZeroCopyReadPacketData()
			if err != nil {
				return
			}
			const arp = 0x06
			if over || len(frame) < ethernet || frame[12] == 0x08 && frame[13] == arp {
				continue
			}
			if over = bytes.HasSuffix(frame, mark); over {
				close(marked)
				continue
			}
			tell(bytes.Equal(frame[6:12], mac), frame[ethernet:])
		}
	}()
	return func() bool {
		err := at.Do(func() error {
			c, err := net.Dial("udp", netip.AddrPortFrom(peer, 9).String())
			if err != nil {
				return err
			}
			defer c.Close()
			for { // again, for a full buffer of tcpdump's may lose it
				c.Write(mark)
				select {
				case <-marked:
					return nil
				case <-ended:
					return nil
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
		if err != nil {
			t.Error(err)
		}
		dump.Process.Signal(os.Interrupt)
		rest, _ := io.ReadAll(messages)
		<-ended
		dump.Wait()
		dropped := regexp.MustCompile(`(\d+) packets? dropped by kernel`).FindSubmatch(rest)
		if dropped == nil {
			t.Errorf("tcpdump: %s", rest)
			return false
		}
		if string(dropped[1]) != "0" {
			t.Logf("tcpdump missed %s packets", dropped[1])
		}
		return string(dropped[1]) == "0"
	}
}
