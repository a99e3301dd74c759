package stack_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rawnc/stack"
	"rawnc/stack/netsim"
)

var update = flag.Bool("update", false, "write docs/loss.md anew")

// The rows and the columns of docs/loss.md.
var (
	lossRates   = []int{0, 1, 2, 5, 10, 20, 30} // percent, both ways
	roundTrips  = []time.Duration{ms, 10 * ms, 100 * ms, 300 * ms}
	bufferSizes = []int{4 << 10, 64 << 10, 1 << 20}
)

const (
	lossOctets = 256 << 10 // a transfer
	lossSeeds  = 5         // transfers for a cell
)

// The throughput at every loss rate, round trip and buffer size stands in
// docs/loss.md, so that a change of the stack that makes it better or worse
// shows. The clock is virtual: the figures are the same on every machine. After
// a change that is meant, go test ./stack -run Loss -update.
func TestThroughputByLoss(t *testing.T) {
	var page strings.Builder
	page.WriteString(`# Throughput by loss

The throughput of the stack over a simulated network, in KiB a second of virtual time: five transfers of 256 KiB in one
direction, each with its own seed, from the first SYN until the last octet is read. The share of segments lost is that
of both directions, data and ACKs alike. The buffer is that of the sender and of the receiver. The link has no rate, so that
without loss the round trip, the buffer and slow start are all that limits. Timestamps and window scaling are on. Every cell is two
figures: with SACK, and without.

`)
	page.WriteString("| round trip | buffer |")
	for _, rate := range lossRates {
		fmt.Fprintf(&page, " %d %% |", rate)
	}
	page.WriteString("\n|---:|---:|" + strings.Repeat("---:|", len(lossRates)) + "\n")
	for _, rtt := range roundTrips {
		for _, buffer := range bufferSizes {
			fmt.Fprintf(&page, "| %v | %d KiB |", rtt, buffer>>10)
			for _, rate := range lossRates {
				cfg := stack.Config{SendBuffer: buffer, ReceiveBuffer: buffer, UserTimeout: -1}
				path := netsim.Path{Delay: rtt / 2, Loss: float64(rate) / 100}
				with := throughput(t, cfg, path)
				cfg.NoSACK = true
				fmt.Fprintf(&page, " %s / %s |", figure(with), figure(throughput(t, cfg, path)))
			}
			page.WriteByte('\n')
		}
	}
	page.WriteString("\nMade by `go test ./stack -run Loss -update`; the test compares.\n")

	const name = "../docs/loss.md"
	if *update {
		if err := os.WriteFile(name, []byte(page.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(page.String(), "\n")); diff != "" {
		t.Errorf("the throughput is not that of %s (-want +got):\n%s", name, diff)
	}
}

// throughput is in octets a second. No transfer may stall: every one ends, and
// never waits longer than an hour for its next octet.
func throughput(t *testing.T, cfg stack.Config, path netsim.Path) float64 {
	t.Helper()
	var sum time.Duration
	for seed := range uint64(lossSeeds) {
		n := netsim.New(seed, cfg, cfg, path, path)
		up := random(seed, lossOctets)
		attach(n.A, up)
		b := attach(n.B, nil)
		b.close = false
		n.Connect()
		for got := -1; len(b.got) < len(up); {
			if got == len(b.got) {
				t.Fatalf("%v, %+v, seed %d: stalled after %d octets, %v and %v\n%s", path, cfg, seed, got, n.A.Err(), n.B.Err(), tail(n))
			}
			got = len(b.got)
			n.RunUntil(time.Hour, func() bool { return len(b.got) > got })
		}
		sum += n.Now.Sub(netsim.Start)
	}
	return lossSeeds * lossOctets / sum.Seconds()
}

// figure is octets a second in KiB, with two digits at least.
func figure(perSecond float64) string {
	kib := perSecond / 1024
	if kib < 10 {
		return fmt.Sprintf("%.1f", kib)
	}
	return fmt.Sprintf("%.0f", kib)
}
