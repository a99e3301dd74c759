package stack_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
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
	fmt.Fprintf(&page, tailIntro, lossTransfers)
	for _, rtt := range tailRoundTrips {
		fmt.Fprintf(&page, "| %v |", rtt)
		for _, rate := range lossRates[3:] {
			d := durations(t, rate, rtt)
			fmt.Fprintf(&page, " %s / %s / %s |", seconds(d[len(d)/2]), seconds(d[len(d)*9/10]), seconds(d[len(d)-1]))
		}
		page.WriteByte('\n')
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
		sum += duration(t, seed, cfg, path)
	}
	return lossSeeds * lossOctets / sum.Seconds()
}

// duration is how long a transfer takes.
func duration(t *testing.T, seed uint64, cfg stack.Config, path netsim.Path) time.Duration {
	t.Helper()
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
	return n.Now.Sub(netsim.Start)
}

// The tail: how much longer than most the slowest transfers take.

const (
	lossTransfers = 100
	tailIntro     = `
## How long it takes

The same transfer with the default buffers: how many seconds it takes, in the middle, nine times of ten, and at worst, of %d.
What is long is silence. A segment and its ACK must both get through; where they are the only ones on their way, as after
a timeout, each loss costs a timeout twice as long (RFC 6298, section 5.5), from 200 ms to a minute.

| round trip | 5 %% | 10 %% | 20 %% | 30 %% |
|---:|---:|---:|---:|---:|
`
)

var tailRoundTrips = []time.Duration{ms, 20 * ms, 100 * ms}

// durations are those of lossTransfers transfers, in order.
func durations(t *testing.T, rate int, rtt time.Duration) (all []time.Duration) {
	t.Helper()
	cfg := stack.Config{UserTimeout: -1, SYNTimeout: -1}
	path := netsim.Path{Delay: rtt / 2, Loss: float64(rate) / 100}
	for seed := range uint64(lossTransfers) {
		all = append(all, duration(t, seed, cfg, path))
	}
	slices.Sort(all)
	return all
}

func seconds(d time.Duration) string { return figure(d.Seconds() * 1024) }

// Whatever docs/loss.md says: half of the transfers take no longer than this, and
// none much longer.
func TestTailOfLoss(t *testing.T) {
	for _, tc := range []struct {
		rate         int
		rtt          time.Duration
		median, most time.Duration
	}{
		{5, 20 * ms, 600 * ms, 4 * time.Second},
		{10, ms, 300 * ms, 10 * time.Second},
		{20, ms, 5 * time.Second, 3 * time.Minute},
		{30, 20 * ms, 45 * time.Second, 7 * time.Minute},
	} {
		d := durations(t, tc.rate, tc.rtt)
		if median, worst := d[len(d)/2], d[len(d)-1]; median > tc.median || worst > tc.most {
			t.Errorf("%d %% lost, %v: %v in the middle, %v at worst; want %v and %v at most", tc.rate, tc.rtt, median, worst, tc.median, tc.most)
		}
	}
}

// figure is octets a second in KiB, with two digits at least.
func figure(perSecond float64) string {
	kib := perSecond / 1024
	if kib < 10 {
		return fmt.Sprintf("%.1f", kib)
	}
	return fmt.Sprintf("%.0f", kib)
}
