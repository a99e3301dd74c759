package reference_test

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/text/language"

	"rawnc/pcapout"
	"rawnc/pcapout/reference"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
	"rawnc/stack/netsim/script"
)

func capture(t *testing.T, source string) *reference.Capture {
	t.Helper()
	s, err := script.Parse("test", "title: Test\nnetwork has delay 10ms\n"+source)
	if err != nil {
		t.Fatal(err)
	}
	run, err := s.Run(reference.Seed)
	if err != nil {
		t.Fatal(err)
	}
	c, err := reference.Take(run, s.Capture, language.English)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every ICMP error that the network sends is one that a stack understands.
func TestICMP(t *testing.T) {
	for family, addresses := range map[string]string{
		"IPv4": "client has address 192.0.2.1\n",
		"IPv6": "client has address 2001:db8::1\nserver has address 2001:db8::2\n",
	} {
		for kind := stack.ICMPNetUnreachable; kind <= stack.ICMPParameterProblem; kind++ {
			name := strings.ReplaceAll(kind.String(), " ", "-")
			t.Run(family+" "+name, func(t *testing.T) {
				c := capture(t, addresses+"client has iss 99\nclient opens\nnetwork tells client "+name+" mtu 1300 about seq 0\nwait 1ms\nclient aborts")
				i := slices.IndexFunc(c.Records, func(r reference.Record) bool { return r.Account == nil })
				got, err := wire.ParseICMP(c.Records[i].Data)
				if err != nil {
					t.Fatal(err)
				}
				want := kind
				if family == "IPv6" { // which has no such codes
					switch kind {
					case stack.ICMPProtocolUnreachable:
						want = stack.ICMPParameterProblem
					case stack.ICMPSourceRouteFailed:
						want = stack.ICMPNetUnreachable
					}
				}
				if got.Kind != want || got.Seq != 99 || got.Src.Port() != 50000 || got.Dst.Port() != 80 {
					t.Errorf("got %+v", got)
				}
				if kind == stack.ICMPPacketTooBig && got.MTU != 1300 {
					t.Errorf("MTU %d", got.MTU)
				}
				router := map[string]string{"IPv4": "192.0.2.254", "IPv6": "2001:db8::fe"}[family]
				if got.From != netip.MustParseAddr(router) {
					t.Errorf("from %v, not the router", got.From)
				}
			})
		}
	}
}

// A corrupted packet leaves with a right checksum and arrives with a wrong one.
func TestCorrupted(t *testing.T) {
	for _, victim := range []string{"data", "ACK"} {
		script := "capture at %\nclient has no timestamps\nclient opens\nnetwork corrupts client " + victim + " 1\nat 1s client writes \"hello\"\nexpect server reads \"hello\""
		for point, want := range map[string]int{"client": 0, "server": 1} {
			wrong := 0
			for _, r := range capture(t, strings.Replace(script, "%", point, 1)).Records {
				if r.Account.Checksum == stack.ChecksumWrong {
					wrong++
				}
			}
			if wrong != want {
				t.Errorf("%s: %d wrong checksums at the %s, want %d", victim, wrong, point, want)
			}
		}
	}
}

// tcpdump, tcptrace and gopacket read every capture to its end, in both formats, and
// gopacket finds every layer.
func TestOthersRead(t *testing.T) {
	each(t, func(t *testing.T, name string, s *script.Script) {
		c := play(t, s, s.Capture)
		for extension, format := range map[string]pcapout.Format{".pcapng": pcapout.PCAPNG, ".pcap": pcapout.PCAP} {
			var file bytes.Buffer
			if err := c.Write(&file, format, reference.Meta(name)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), name+extension)
			if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			tcpdumpReads(t, path, len(c.Records))
			gopacketReads(t, file.Bytes(), format, len(c.Records))
			if format == pcapout.PCAP {
				tcptraceReads(t, path, len(c.Records))
			}
		}
	})
}

func tcpdumpReads(t *testing.T, path string, want int) {
	t.Helper()
	needTool(t, "tcpdump")
	out, err := exec.Command("tcpdump", "-n", "-r", path).Output()
	if got := bytes.Count(out, []byte("\n")); err != nil || got != want {
		t.Errorf("tcpdump reads %d packets of %d: %v", got, want, err)
	}
}

// tcptrace counts the TCP packets that it read.
func tcptraceReads(t *testing.T, path string, packets int) {
	t.Helper()
	needTool(t, "tcptrace")
	out, err := exec.Command("tcptrace", "-n", path).CombinedOutput()
	if want := fmt.Sprintf("%d packets seen, ", packets); err != nil || !bytes.Contains(out, []byte(want)) {
		t.Errorf("tcptrace does not say %q: %v\n%s", want, err, out)
	}
}

func gopacketReads(t *testing.T, file []byte, format pcapout.Format, want int) {
	t.Helper()
	var source gopacket.PacketDataSource
	var err error
	if format == pcapout.PCAP {
		source, err = pcapgo.NewReader(bytes.NewReader(file))
	} else {
		source, err = pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	}
	if err != nil {
		t.Fatal(err)
	}
	for got := 0; ; got++ {
		data, _, err := source.ReadPacketData()
		if err == io.EOF && got == want {
			return
		}
		if err != nil {
			t.Fatalf("gopacket reads %d packets of %d: %v", got, want, err)
		}
		first := layers.LayerTypeIPv4
		if data[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
		packet := gopacket.NewPacket(data, first, gopacket.Default)
		if e := packet.ErrorLayer(); e != nil {
			t.Errorf("gopacket, packet %d: %v", got+1, e.Error())
		}
	}
}
