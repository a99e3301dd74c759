//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rawnc/rawtcp/lab/labtest"
)

// Each way to fail has its own sentence, which says who said what and what to
// do, and takes no longer than -w allows.
func TestFailuresToConnect(t *testing.T) {
	reject := func(family, with string) string {
		return fmt.Sprintf("nft add table inet f; nft 'add chain inet f in { type filter hook input priority 0; }'; nft add rule inet f in meta nfproto %s tcp dport 8113 reject with %s", family, with)
	}
	const gone = "nft 'table inet f { chain in { type filter hook prerouting priority raw; iifname lab0 drop; }; }'"
	for name, test := range map[string]struct {
		there string // what is done at the far end
		here  string // and at this one
		args  string
		want  string
	}{
		"refused":       {args: "192.0.2.2 8113", want: "192.0.2.2:8113 refused the connection: its host answered the SYN with RST"},
		"refused, IPv6": {args: "2001:db8::2 8113", want: "[2001:db8::2]:8113 refused the connection"},

		"net":   {there: reject("ipv4", "icmp type net-unreachable"), args: "192.0.2.2 8113", want: `ICMP "network unreachable", says 192.0.2.2: a router on the way knows no route`},
		"host":  {there: reject("ipv4", "icmp type host-unreachable"), args: "192.0.2.2 8113", want: `ICMP "host unreachable", says 192.0.2.2: nobody there has that address`},
		"port":  {there: reject("ipv4", "icmp type port-unreachable"), args: "192.0.2.2 8113", want: `ICMP "port unreachable", says 192.0.2.2: the host is up, but turns that port away`},
		"proto": {there: reject("ipv4", "icmp type prot-unreachable"), args: "192.0.2.2 8113", want: `ICMP "protocol unreachable", says 192.0.2.2: the host does not speak TCP`},
		"admin": {there: reject("ipv4", "icmp type admin-prohibited"), args: "192.0.2.2 8113", want: `ICMP "administratively prohibited", says 192.0.2.2: a firewall forbids it`},
		"net6":  {there: reject("ipv6", "icmpv6 type no-route"), args: "2001:db8::2 8113", want: `ICMP "network unreachable", says 2001:db8::2`},
		"host6": {there: reject("ipv6", "icmpv6 type addr-unreachable"), args: "2001:db8::2 8113", want: `ICMP "host unreachable", says 2001:db8::2`},
		"port6": {there: reject("ipv6", "icmpv6 type port-unreachable"), args: "2001:db8::2 8113", want: `ICMP "port unreachable", says 2001:db8::2`},
		"adm6":  {there: reject("ipv6", "icmpv6 type admin-prohibited"), args: "2001:db8::2 8113", want: `ICMP "administratively prohibited", says 2001:db8::2`},
		// The far end is a router here, which has no route, and where packets end.
		"router": {there: "echo 1 >/proc/sys/net/ipv4/ip_forward", here: "ip route add default via 192.0.2.2", args: "198.51.100.1 80", want: `ICMP "network unreachable", says 192.0.2.2`},
		"ttl":    {there: "echo 1 >/proc/sys/net/ipv4/ip_forward; ip route add 198.51.100.0/24 via 192.0.2.9", here: "ip route add default via 192.0.2.2", args: "198.51.100.1 80 --ttl 1", want: `ICMP "time exceeded", says 192.0.2.2: the packet did not get there within its time to live`},

		"no answer":       {there: gone, args: "192.0.2.2 8113", want: "192.0.2.2:8113: the peer did not answer: SYNs sent: 2, in "},
		"no answer, IPv6": {there: gone, args: "2001:db8::2 8113", want: "[2001:db8::2]:8113: the peer did not answer: SYNs sent: 2, in "},

		"no route":       {args: "198.51.100.1 80", want: "no route to 198.51.100.1:80: this machine has no way there; see ip route get 198.51.100.1"},
		"no route, IPv6": {args: "2001:db8:1::1 80", want: "no route to [2001:db8:1::1]:80"},
		"unreachable":    {here: "ip route add unreachable 198.51.100.0/24", args: "198.51.100.1 80", want: "no route to 198.51.100.1:80"},
		"prohibited":     {here: "ip route add prohibit 198.51.100.0/24", args: "198.51.100.1 80", want: "a route of this machine forbids it: see ip route get 198.51.100.1"},
		"broadcast":      {args: "192.0.2.255 80", want: "cannot connect to 192.0.2.255:80: it is a broadcast address"},
		"own firewall":   {here: "nft 'table inet f { chain out { type filter hook output priority 0; tcp dport 8113 drop; }; }'", args: "192.0.2.2 8113", want: "this machine does not let packets to 192.0.2.2:8113 out"},
		"no Ethernet":    {here: "ip tuntap add mode tun name tun9; ip address add 10.10.0.1/24 dev tun9; ip link set tun9 up", args: "--link packet 10.10.0.2 80", want: "the way to 10.10.0.2 is through tun9, which is no Ethernet (none): a packet socket cannot send there, a raw one can"},

		"unknown name":      {args: "nosuch.invalid 80", want: "host nosuch.invalid"},
		"no IPv6 address":   {args: "-6 four.example 80", want: "host four.example has no IPv6 address, and -6 asks for one: leave -6 out"},
		"no IPv4 address":   {args: "-4 six.example 80", want: "host six.example has no IPv4 address, and -4 asks for one: leave -4 out"},
		"both, one answers": {there: "nft add table ip6 f; nft 'add chain ip6 f in { type filter hook prerouting priority raw; iifname lab0 drop; }'", args: "both.example 8113", want: "both.example:8113"},

		"port in use":     {args: "-p 4321 192.0.2.2 8113", want: "port 4321 is in use on this machine: choose another with -p"},
		"no such address": {args: "-s 192.0.2.77 192.0.2.2 8113", want: "-s 192.0.2.77 is not an address of this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			labtest.NeedPrograms(t, "nft", "unshare")
			pair := labtest.NewPair(t)
			listenKernel(t, pair.A, ":4321")
			if _, err := pair.B.Run("sh", "-c", test.there); err != nil {
				t.Fatal(err)
			}
			hosts := filepath.Join(t.TempDir(), "hosts")
			if err := os.WriteFile(hosts, []byte("192.0.2.2 four.example both.example\n2001:db8::2 six.example both.example\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			rawnc := start(t, pair.A.Command("unshare", "--mount", "sh", "-ec",
				"mount --bind "+hosts+" /etc/hosts; "+test.here+"\nexec rawnc connect -w2 "+test.args))
			rawnc.ends(1)
			rawnc.says("rawnc: ")
			rawnc.says(test.want)
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
			if got := rawnc.stdout.text(); got != "" {
				t.Errorf("stdout is %q", got)
			}
			if last := lastLine(rawnc.stderr.text()); !strings.Contains(last, test.want) {
				t.Errorf("the last line is %q", last)
			}
		})
	}
}

// What was typed reaches the terminal only as what it can print.
func TestErrorsArePrintable(t *testing.T) {
	for _, args := range [][]string{
		{"connect", "evil\x1b[31m", "80"},
		{"connect", "127.0.0.1", "99999999999999999999\x1b[31m"},
		{"connect", "127.0.0.1", "20-30\x1b[31m"},
		{"connect", "--evil\x1b[31m"},
		{"explain", "evil\x1b[31m"},
	} {
		rawnc := start(t, exec.Command("rawnc", args...))
		rawnc.ends(1)
		rawnc.says(`\x1b[31m`)
		if got := rawnc.stderr.text(); strings.Contains(got, "\x1b") {
			t.Errorf("%q: %q", args, got)
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return lines[len(lines)-1]
}

func TestFailuresToListen(t *testing.T) {
	for name, test := range map[string]struct{ args, want string }{
		"port in use":     {"4321", "port 4321 is in use on this machine: see ss -ltnp"},
		"no such address": {"192.0.2.77 8113", "192.0.2.77 is not an address of this machine"},
		"unknown name":    {"nosuch.invalid 8113", "host nosuch.invalid"},
		"privileged port": {"80", "port 80 needs a privilege (CAP_NET_BIND_SERVICE)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			labtest.NeedPrograms(t, "setpriv")
			pair := labtest.NewPair(t)
			listenKernel(t, pair.A, ":4321")
			rawnc := start(t, pair.A.Command("setpriv", append([]string{"--bounding-set=-net_bind_service", "rawnc", "listen"}, strings.Fields(test.args)...)...))
			rawnc.ends(1)
			if got := rawnc.stderr.text(); !strings.HasPrefix(got, "rawnc: "+test.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}
