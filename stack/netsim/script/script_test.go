package script_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rawnc/stack/netsim"
	"rawnc/stack/netsim/script"
)

func parse(t *testing.T, source string) *script.Script {
	t.Helper()
	s, err := script.Parse("test", "title: Test\n"+source)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The tests of the network are scripts: what it does, and what comes of it.
func TestScripts(t *testing.T) {
	for name, source := range map[string]string{
		"delay and rate": `
			network has delay 10ms
			network has rate 1000000, queue 100 from client
			client has no timestamps
			server has no delayed ACK
			client opens
			expect client ACK at 20.04ms # 40 octets take 40 µs at this rate
			at 1s client writes 2920 octets
			expect server reads 1460 octets
			expect server ACK ack 2921 at 1.013s # two packets of 1500 octets, and the way`,
		"a queue that overflows": `
			network has delay 10ms
			network has rate 100000, queue 3 from client
			client opens
			expect client state ESTABLISHED
			at 1s client writes 14600 octets
			expect client retransmission
			expect server reads 14600 octets`,
		"drop": `
			network has delay 10ms
			client opens
			network drops client data 1
			at 1s client writes "hello"
			expect client retransmission
			expect server reads "hello"`,
		"drop all, and behave again": `
			network has delay 10ms
			network drops client segments
			client opens
			expect client SYN because timeout 2
			network behaves
			expect client state ESTABLISHED`,
		"duplicate": `
			network has delay 10ms
			network duplicates client data 1
			client opens
			at 1s client writes "hello"
			expect server judges old-data
			expect server reads "hello"`,
		"delay until others have passed": `
			network has delay 10ms
			network delays client data 1 by 2ms
			client has no timestamps
			client opens
			at 1s client writes 4380 octets
			expect server judges out-of-order
			expect server reads 4380 octets
			expect no client retransmission`,
		"corrupt": `
			network has delay 10ms
			network corrupts client data 1
			client opens
			at 1s client writes "hello"
			expect client retransmission
			expect server reads "hello"`,
		"reject": `
			network has delay 10ms
			network rejects client SYN with port-unreachable
			client opens
			expect client error port-unreachable
			expect client state CLOSED
			expect 1 segment`,
		"a smaller MTU in the middle": `
			network has delay 10ms, mtu 1000
			client has no timestamps
			client opens
			expect client state ESTABLISHED
			at 1s client writes 1460 octets
			expect client data len 1460 at 1s
			expect client data seq 1 len 960 at 1.01s because too-big
			expect server reads 1460 octets`,
		"coalescing": `
			network has delay 10ms
			network has coalescing 1ms from client
			client has no timestamps
			client opens
			expect server state ESTABLISHED
			at 1s client writes 4380 octets
			expect server ACK ack 4381 # one, for all three
			expect server reads 4380 octets
			expect 2 server segments`,
		"loss by chance": `
			network has delay 10ms
			network drops 20% of client data
			client opens
			client writes 100000 octets
			expect client retransmission
			expect server reads 100000 octets`,
		"IPv6": `
			client has address 2001:db8::1
			server has address 2001:db8::2
			network has delay 10ms
			client opens
			client writes 1500 octets
			expect client data len 1428 # 1500 less 40, 20 and 12 for the timestamps
			expect server reads 1500 octets`,
		"a raw peer": `
			server has no stack, iss 77
			client has no timestamps
			network has delay 10ms
			client opens
			expect client SYN
			wait 10ms
			server sends SYN,ACK mss 1000 window 500
			expect client ACK ack 1
			client writes 600 octets
			expect client data len 500
			wait 20ms
			server sends ACK seq 1 ack 501 window 1000
			expect client data seq 501 len 100`,
		"what is forged": `
			network has delay 10ms
			client opens
			expect server state ESTABLISHED
			network injects client RST seq 500
			expect server judges blind-RST
			expect server ACK because challenge
			network tells client host-unreachable
			network injects server none seq 1
			expect client judges no-timestamp
			expect client state ESTABLISHED`,
		"ICMP about a SYN": `
			network has delay 10ms
			network drops client SYN 1
			client opens
			wait 1ms
			network tells client host-unreachable about seq 0
			expect client error host-unreachable
			expect client state ESTABLISHED`,
		"a listener that does not listen": `
			server has no listener
			client opens
			expect client error refused`,
		"reading by hand": `
			network has delay 10ms
			server stops reading
			client opens
			client writes 1000 octets
			wait 1s
			server reads 10 octets
			expect server reads 10 octets
			server reads
			expect server reads 990 octets`,
		"two connections, one after the other": `
			network has delay 10ms
			server closes when client does
			client opens
			client writes "one"
			expect server reads "one"
			client aborts
			expect server error reset
			after 1s client opens
			client writes "two"
			expect server reads "two"
			expect client SYN seq 0
			expect client SYN seq 0`,
		"times": `
			at 1s client opens
			expect client SYN at 1s
			after 500ms client writes "x"
			expect client data at 1.5s`,
	} {
		t.Run(name, func(t *testing.T) {
			lines := strings.ReplaceAll(source, "\t", "")
			if _, err := parse(t, lines).Run(1); err != nil {
				t.Error(err)
			}
		})
	}
}

// The same script and seed give the same crossings; another seed, others.
func TestRepeatable(t *testing.T) {
	s := parse(t, `
network has delay 10ms
network drops 5% of client data
network delays 5% of server segments by 3ms
client opens
client writes 200000 octets
server writes 50000 octets
expect server reads 200000 octets
expect client reads 50000 octets`)
	run := func(seed uint64) []netsim.Crossing {
		r, err := s.Run(seed)
		if err != nil {
			t.Fatal(err)
		}
		return r.Crossings
	}
	first := run(1)
	if !reflect.DeepEqual(first, run(1)) {
		t.Error("the same seed gave another run")
	}
	if reflect.DeepEqual(first, run(2)) {
		t.Error("another seed gave the same run, though there is chance in it")
	}
}

// What crosses the three capture points: the middle lies half-way, and what is
// lost never gets to the far end.
func TestCapturePoints(t *testing.T) {
	r, err := parse(t, `
network has delay 10ms
network drops client SYN 1
client opens
expect server state SYN-RECEIVED`).Run(1)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range r.Crossings {
		point := [...]string{"client", "server", "middle"}[c.Point]
		got = append(got, c.Time.Sub(netsim.Start).String()+" "+point+" "+c.Seg.Flags.String())
	}
	want := []string{
		"0s client SYN", "5ms middle SYN",
		"1s client SYN", "1.005s middle SYN", "1.01s server SYN",
		"1.01s server SYN,ACK", "1.015s middle SYN,ACK", "1.02s client SYN,ACK",
		"1.02s client ACK", "1.025s middle ACK", "1.03s server ACK",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A message names line and column, and says what would have been right.
func TestSyntaxErrors(t *testing.T) {
	for line, want := range map[string]string{
		"clint opens":                      `test:2:1: expected client, server, network, capture, expect, wait, at, after or tshark, found "clint"`,
		"client opened":                    `test:2:8: expected has, opens, listens, writes, reads, stops, closes, quits, aborts, crashes or sends, found "opened"`,
		"client":                           `test:2:7: expected has, opens, listens, writes, reads, stops, closes, quits, aborts, crashes or sends, found the end of the line`,
		"client writes hello":              `test:2:15: expected text between " and ", or a number of octets, found "hello"`,
		"client writes 10":                 `test:2:17: expected octets or octet, found the end of the line`,
		"client opens twice":               `test:2:14: expected the end of the line, found "twice"`,
		"client closes when client does":   `test:2:20: expected server, found "client"`,
		"client has iss -1":                `test:2:16: expected a number, a whole number from 0 to 4294967295, found "-1"`,
		"client has iss 1, iss":            `test:2:22: expected a number, a whole number from 0 to 4294967295, found the end of the line`,
		"client has address 1.2.3":         `test:2:20: expected an IPv4 or IPv6 address, found "1.2.3"`,
		"at noon client opens":             `test:2:4: expected a time such as 10ms, 1.5s or 2m, found "noon"`,
		"wait":                             `test:2:5: expected a time such as 10ms, 1.5s or 2m, found the end of the line`,
		"network breaks":                   `test:2:9: expected has, injects, tells, behaves, drops, duplicates, delays, corrupts, marks or rejects, found "breaks"`,
		"network drops client":             `test:2:21: expected segment, SYN, SYN,ACK, ACK, data, FIN, RST or retransmission, found the end of the line`,
		"network injects client FIM":       `test:2:24: expected flags such as SYN, SYN,ACK, PSH,ACK or none, found "FIM"`,
		`client sends SYN fast-open "me"`:  `test:2:28: expected a cookie of 4 to 16 octets, found "me"`,
		"client sends SYN sack 1":          `test:2:24: expected to, found the end of the line`,
		"expect client SYN flags FIM":      `test:2:25: expected flags such as SYN, SYN,ACK, PSH,ACK or none, found "FIM"`,
		"expect client state OPEN":         `test:2:21: expected CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED, ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, CLOSING, LAST-ACK or TIME-WAIT, found "OPEN"`,
		"expect peace":                     `test:2:8: expected client, server, no or a number of segments, found "peace"`,
		"expect client SYN because reason": `test:2:27: expected open, answer, handshake, data, close, timeout, fast-retransmit, recovery, forward-RTO, tail-probe, too-big, black-hole, path-probe, probe-lost, window-probe, keep-alive, acknowledgment, delayed-ACK, FIN, duplicate-ACK, old-data, window-update, challenge, unacceptable, urgent, abort, unread-data, data-after-close, no-connection, bad-handshake-ACK, given-up or cookie, found "reason"`,
		"tshark retransmission":            `test:2:8: expected completeness, or a frame, a whole number from 1 to 1000000000, found "retransmission"`,
		"capture at home":                  `test:2:12: expected client, server or middle, found "home"`,
	} {
		_, err := script.Parse("test", "title: Test\n"+line)
		if err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", line, err, want)
		}
	}
	if _, err := script.Parse("test", "client opens"); err == nil || !strings.Contains(err.Error(), "no title") {
		t.Errorf("without a title: %v", err)
	}
}

// An expectation that fails says what happened in its place.
func TestFailedExpectations(t *testing.T) {
	const open = "network has delay 10ms\nclient opens\n"
	for source, want := range map[string]string{
		open + "expect client SYN seq 0 at 3s within 30ms": `test:4: expected: client SYN seq 0 at 3s within 30ms
  actual: the client sent
    SYN seq 0 len 0 window 65535 at 0s because open
    ACK seq 1 ack 1 len 0 window 32768 at 20ms because handshake
  in the end, at 30ms: client ESTABLISHED, server ESTABLISHED`,
		open + "expect client state CLOSED within 1s": `test:4: expected: client state CLOSED within 1s
  actual: client state ESTABLISHED`,
		open + "client writes \"hello\"\nexpect server reads \"world\" within 1s": `test:5: expected: server reads "world" within 1s
  actual: the server read 5 octets: "hello"`,
		open + "expect no client SYN": `test:4: expected: no client SYN
  actual: the client sent SYN seq 0 len 0 window 65535 at 0s because open`,
		open + "expect 2 segments": `test:4: expected: 2 segments
  actual: 3 segments
    client SYN seq 0 len 0 window 65535 at 0s because open
    server SYN,ACK seq 0 ack 1 len 0 window 65535 at 10ms because answer
    client ACK seq 1 ack 1 len 0 window 32768 at 20ms because handshake`,
		"server has no stack\nnetwork has delay 10ms\nclient opens\nserver sends SYN,ACK seq 0 ack 1 sack-permitted mss 1000\nwait 20ms\n" +
			"server sends ACK seq 1001 \"late\"\nexpect client ACK sack 1 to 5 within 1s": `test:8: expected: client ACK sack 1 to 5 within 1s
  actual: the client sent
    SYN seq 0 len 0 window 65535 at 0s because open
    ACK seq 1 ack 1 len 0 window 65535 at 10ms because handshake
    ACK seq 1 ack 1 len 0 window 65535 sack 1001 to 1005 at 30ms because duplicate-ACK
  in the end, at 40ms: client ESTABLISHED, server CLOSED`,
		open + "wait 1s\nat 500ms client closes": `test:5: the clock already shows 1s`,
		"client aborts":                          `test:2: there is no connection`,
		"client writes 5 octets":                 `test:2: nothing was sent: let somebody begin, with a line such as "client opens"`,
		"":                                       `test:1: nothing was sent: let somebody begin, with a line such as "client opens"`,
	} {
		run, err := parse(t, source).Run(1)
		var failed *script.Error
		if run == nil || !errors.As(err, &failed) || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", source, err, want)
		}
	}
}

// No script, however it is written, brings the program down.
func FuzzScript(f *testing.F) {
	files, err := filepath.Glob("../../../pcapout/reference/scenarios/*.rawnc")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		source, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	f.Add("title:\n \f\n")
	f.Add("title: x\ntitle-zh: 中文\n \u00a0\n")
	f.Add("title: x\nclient has no stack\nclient sends SYN,FIN seq 4294967295 sack 1 to 2 65000 octets\nserver crashes\nwait 1000h")
	f.Fuzz(func(t *testing.T, source string) {
		s, err := script.Parse("fuzz", source)
		if err != nil {
			var e *script.Error
			if !errors.As(err, &e) || e.Line < 1 {
				t.Fatalf("an error without its line: %v", err)
			}
			return
		}
		if len(source) < 2000 {
			s.Run(1)
		}
	})
}
