//go:build linux

package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"rawnc/rawtcp/lab/labtest"
)

// Clients of others, and rawnc itself, talk to rawnc listen.
func TestListen(t *testing.T) {
	for name, client := range map[string][]string{
		"nc.openbsd":            {"nc.openbsd", "-N", "192.0.2.2", "8113"},
		"nc.openbsd over IPv6":  {"nc.openbsd", "-N", "2001:db8::2", "8113"},
		"nc.openbsd, by a zone": {"nc.openbsd", "-N", "fe80::2%lab0", "8113"},
		"ncat":                  {"ncat", "192.0.2.2", "8113"},
		"rawnc":                 {"rawnc", "--quiet", "192.0.2.2", "8113"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			labtest.NeedPrograms(t, client[0])
			pair := labtest.NewPair(t)
			rawnc := start(t, pair.B.Command("rawnc", "-lv", "8113")) // as one calls nc
			rawnc.says("rawnc listens on port 8113")
			peer := start(t, pair.A.Command(client[0], client[1:]...))
			peer.types("hello2020\n")
			rawnc.prints("hello2020\n")
			rawnc.types("welcome\n")
			peer.prints("welcome\n")
			peer.stdin.Close()
			rawnc.says("the peer has closed and sends no more")
			rawnc.stdin.Close()
			rawnc.ends(0)
			peer.ends(0)
			if got := rawnc.stdout.text(); got != "hello2020\n" {
				t.Errorf("stdout is %q", got)
			}
			rawnc.says("server LISTEN → SYN-RECEIVED: a SYN arrived, and it answers with its own")
			rawnc.says("the client closed first")
		})
	}
}

func TestListenServesCurl(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "curl")
	pair := labtest.NewPair(t)
	rawnc := start(t, pair.B.Command("rawnc", "listen", "192.0.2.2", "8113", "--send", `HTTP/1.0 200 OK\r\n\r\nhello, curl\n`))
	rawnc.says("rawnc listens on 192.0.2.2:8113")
	curl := start(t, pair.A.Command("curl", "--silent", "--show-error", "--max-time", "10", "http://192.0.2.2:8113/article"))
	curl.ends(0)
	curl.prints("hello, curl\n")
	rawnc.ends(0)
	rawnc.prints("GET /article HTTP/1.1\r\n")
}

// With -k one connection follows the other, and each is summed up.
func TestListenKeepsOn(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "nc.openbsd")
	pair := labtest.NewPair(t)
	rawnc := start(t, pair.B.Command("rawnc", "listen", "-k", "8113"))
	rawnc.says("rawnc listens")
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		peer := start(t, pair.A.Command("nc.openbsd", "-N", "192.0.2.2", "8113"))
		peer.types(line)
		rawnc.prints(line)
		rawnc.types("got " + line)
		peer.prints("got " + line)
		peer.stdin.Close()
		peer.ends(0)
	}
	eventually(t, "three summaries", func() bool {
		return strings.Count(rawnc.stderr.text(), "it opened with three segments") == 3
	})
	rawnc.signal(os.Interrupt)
	rawnc.ends(130)
	rawnc.says("Ctrl+C: rawnc listens no more")
	if got := rawnc.stdout.text(); got != "one\ntwo\nthree\n" {
		t.Errorf("stdout is %q", got)
	}
}

// A connection that goes wrong does not end rawnc listen -k.
func TestListenSurvivesReset(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	rawnc := start(t, pair.B.Command("rawnc", "listen", "-k", "8113"))
	rawnc.says("rawnc listens")
	c := dialKernel(t, pair.A, "192.0.2.2:8113")
	io.WriteString(c, "one\n")
	rawnc.prints("one\n")
	c.SetLinger(0)
	c.Close()
	rawnc.says("rawnc: the peer reset the connection")
	c = dialKernel(t, pair.A, "192.0.2.2:8113")
	io.WriteString(c, "two\n")
	rawnc.prints("two\n")
	c.Close()
}

// While rawnc serves one peer without -k, nobody else is served.
func TestListenServesOne(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	rawnc := start(t, pair.B.Command("rawnc", "listen", "8113"))
	rawnc.says("rawnc listens")
	c := dialKernel(t, pair.A, "192.0.2.2:8113")
	io.WriteString(c, "one\n")
	rawnc.prints("one\n")
	second := start(t, pair.A.Command("rawnc", "connect", "-w2", "192.0.2.2", "8113"))
	second.ends(1)
	io.WriteString(c, "two\n")
	rawnc.prints("two\n")
	rawnc.stdin.Close()
	c.Close()
	rawnc.ends(0)
}
