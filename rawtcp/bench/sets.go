package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"rawnc/rawtcp/lab"
)

// A set is a network, and who does what on it.
type set struct {
	title    string
	offloads []string // what ethtool -K is told at both ends
	loopback bool
	jobs     []string
	names    []string // the first is what the others are held against
}

var allSets = map[string]set{
	"default": {
		title: "a veth as it comes (TSO and GSO on, GRO off)",
		jobs:  []string{"up", "down"},
		names: []string{"kernel", "raw", "packet", "least raw", "least packet", "gvisor", "gvisor gso", "nc", "rawnc", "rawnc packet", "rawnc pcap", "rawnc packet pcap"},
	},
	"mtu": {
		title:    "MTU-size packets (TSO, GSO and GRO off)",
		offloads: []string{"tso", "off", "gso", "off", "gro", "off"},
		jobs:     []string{"up", "down"},
		names:    []string{"kernel", "raw", "packet", "least raw", "least packet", "gvisor", "gvisor gso", "nc", "rawnc", "rawnc packet", "rawnc pcap", "rawnc packet pcap"},
	},
	"gro": {
		title:    "the receiver's GRO puts MTU-size packets together",
		offloads: []string{"tso", "off", "gso", "off", "gro", "on"},
		jobs:     []string{"up", "down"},
		names:    []string{"kernel", "raw", "packet", "least raw", "least packet", "gvisor", "gvisor gso"},
	},
	"lo": {
		title:    "loopback, MTU 65536",
		loopback: true,
		jobs:     []string{"up", "down"},
		names:    []string{"kernel", "raw", "least raw", "nc", "rawnc"},
	},
	"many": {
		title: "many connections (TSO and GSO on, GRO off), in proportion to one",
		jobs:  []string{"up"},
		names: []string{"raw", "raw beside 100 idle", "raw beside 10000 idle", "raw by 10000", "least raw", "least by 10000", "least slow by 10000"},
	},
	"lat": {
		title: "latency and connections (ping-pong with the ends on a core each)",
		jobs:  []string{"pp", "conn1", "conn64"},
		names: []string{"kernel", "raw", "packet", "least raw", "least packet", "least goroutines", "gvisor"},
	},
}

// variants are contenders with further flags.
var variants = map[string][]string{
	"raw beside 100 idle":   {"-contender", "raw", "-idle", "100"},
	"raw beside 10000 idle": {"-contender", "raw", "-idle", "10000"},
	"raw by 10000":          {"-contender", "raw", "-active", "10000"},
	"least by 10000":        {"-contender", "least raw", "-active", "10000"},
	"least slow by 10000":   {"-contender", "least raw", "-active", "10000", "-slow"},
	"least goroutines":      {"-contender", "least raw", "-goroutines"},
}

// times is how often a job that is no transfer is done.
var times = map[string]int64{"pp": 20000, "conn1": 2000, "conn64": 5000}

func (set set) run(ctx context.Context, s *settings) (done []comparison, err error) {
	pair, err := lab.NewPair()
	if err != nil {
		return nil, err
	}
	defer pair.Close()
	b := &network{settings: s, client: pair.A, server: pair.B, peer: pair.B.IPv4}
	if set.loopback {
		b.server, b.peer = pair.A, netip.MustParseAddr("127.0.0.1")
	}
	for _, h := range []*lab.Host{pair.A, pair.B} {
		if _, err := h.Run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 60999", "net.ipv4.tcp_max_syn_backlog=8192",
			"net.ipv4.tcp_max_tw_buckets=1000"); err != nil { // or the kernel's own client runs out of ports
			return nil, err
		}
		if err := cubic(h, set.loopback); err != nil {
			return nil, err
		}
		if set.offloads != nil {
			if _, err := h.Run("ethtool", append([]string{"-K", lab.Interface}, set.offloads...)...); err != nil {
				return nil, err
			}
		}
	}
	if s.names != nil {
		set.names = s.names
	}
	for _, job := range set.jobs {
		if s.jobs != nil && !slices.Contains(s.jobs, job) {
			continue
		}
		names := slices.DeleteFunc(slices.Clone(set.names), func(n string) bool {
			return job == "down" && strings.HasSuffix(n, "pcap") || // a capture is a matter of sending here
				job == "pp" && strings.HasPrefix(n, "least") || job != "conn64" && n == "least goroutines"
		})
		results, err := b.interleave(ctx, job, names)
		if err != nil {
			return nil, err
		}
		done = append(done, comparison{set.title, job, names, results})
	}
	return done, nil
}

// cubic makes the kernel's TCP use CUBIC, as rawnc does and Linux by default. The
// setting of that name takes root outside of a namespace; a route's does not.
func cubic(h *lab.Host, loopback bool) error {
	route := "192.0.2.0/24 dev " + lab.Interface
	if loopback {
		route = "local 127.0.0.1 dev lo table local"
	}
	_, err := h.Run("ip", strings.Fields("route change "+route+" congctl cubic")...)
	return err
}

// A network is where the work is done.
type network struct {
	*settings
	client, server *lab.Host
	peer           netip.Addr
}

// interleave lets all do the job, one after the other, and that some rounds.
func (b *network) interleave(ctx context.Context, job string, names []string) (map[string][]result, error) {
	stop, err := b.serve(ctx, job)
	if err != nil {
		return nil, err
	}
	defer stop()
	results := map[string][]result{}
	for round := range b.rounds {
		for _, name := range names {
			fmt.Fprintf(os.Stderr, "\r\033[K%s: round %d of %d: %s", job, round+1, b.rounds, name)
			r, err := b.once(ctx, job, name)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("%s by %s: %w", job, name, err)
			}
			results[name] = append(results[name], r)
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	return results, nil
}

// serve starts the far end, which the kernel's TCP serves.
func (b *network) serve(ctx context.Context, job string) (stop func(), err error) {
	cmd := b.command(ctx, b.server, job, "1", self, "serve", b.peer.String())
	stdin, err := cmd.StdinPipe() // its end is the server's
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		return nil, fmt.Errorf("the server does not start: %q, %w", line, err)
	}
	return func() { stdin.Close(); cmd.Wait() }, nil
}

var self = func() string { path, _ := os.Executable(); return path }()

// command is one that runs at an end; for ping-pong on a core of its own.
func (b *network) command(ctx context.Context, at *lab.Host, job, core string, args ...string) *exec.Cmd {
	if job == "pp" {
		args = append([]string{"taskset", "-c", core, "env", "GOMAXPROCS=2"}, args...)
	}
	cmd := at.Command(args[0], args[1:]...)
	bound := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
	bound.Stderr = os.Stderr
	return bound
}

// once does a job and says what it took.
func (b *network) once(ctx context.Context, job, name string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	n, transfer := b.size, false
	if t, ok := times[job]; ok {
		n = t
	} else {
		transfer = true
	}
	if name == "gvisor" && transfer {
		n /= 4 // slow: a quarter says as much
	}
	program, options, _ := strings.Cut(name, " ")
	if program == "nc" || program == "rawnc" {
		return b.netcat(ctx, program, options, job, n)
	}
	who := variants[name]
	if who == nil {
		who = []string{"-contender", name}
	}
	args := append([]string{self, "client"}, who...)
	args = append(args, "-job", job, "-n", fmt.Sprint(n), "-peer", b.peer.String())
	if b.profile != "" {
		args = append(args, "-profile", filepath.Join(b.profile, strings.ReplaceAll(name, " ", "-")+"-"+job+".pprof"))
	}
	out, err := b.command(ctx, b.client, job, "0", args...).Output()
	if err != nil {
		return result{}, err
	}
	var r result
	return r, json.Unmarshal(out, &r)
}

// netcat is the same work by a program that reads and writes.
func (b *network) netcat(ctx context.Context, program, options, job string, n int64) (result, error) {
	length := ""
	for i := 56; i >= 0; i -= 8 {
		length += fmt.Sprintf(`\%03o`, byte(n>>i))
	}
	var dir string
	line := fmt.Sprintf("nc.openbsd -N %v %d", b.peer, sinkPort)
	if program == "rawnc" {
		var err error
		if dir, err = os.MkdirTemp("", "bench"); err != nil {
			return result{}, err
		}
		defer os.RemoveAll(dir)
		line = fmt.Sprintf("%s connect --quiet %v %d", b.rawnc, b.peer, sinkPort)
		if strings.Contains(options, "packet") {
			line += " --link packet"
		}
		if strings.Contains(options, "pcap") {
			line += " --pcap " + dir + "/x.pcapng"
		}
	}
	if job == "up" {
		line = fmt.Sprintf("{ printf '%s'; head -c %d /dev/zero; } | %s >/dev/null", length, n, line)
	} else { // the source closes when it has sent all
		line = fmt.Sprintf("printf '%s' | %s >/dev/null", length, strings.Replace(strings.Replace(line, "-N ", "", 1), fmt.Sprint(sinkPort), fmt.Sprint(sourcePort), 1))
	}
	cmd := b.command(ctx, b.client, job, "0", "sh", "-c", line)
	server := serverCPU(b.client, b.peer)
	start := time.Now()
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	r := result{Count: n, Seconds: time.Since(start).Seconds(), Missing: strings.Contains(said.String(), "missing from the log and the capture")}
	if err != nil && !r.Missing {
		return r, fmt.Errorf("%w: %s", err, said.String())
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	r.CPU = seconds(usage)
	r.AllCPU = r.CPU + serverCPU(b.client, b.peer) - server
	return r, nil
}
