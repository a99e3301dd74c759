package rawtcp_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
	"rawnc/stack/fault"
)

// A cable joins two hosts through a third namespace, where this program carries
// the frames over: each takes 10 ms, and rules say what goes wrong. So two kernels
// meet the same network as a Host does.
type cable struct {
	client, server *lab.Host

	mu      sync.Mutex
	port    int // of the server; other connections are carried in silence
	rules   fault.Rules
	views   [2]fault.View
	log     []string
	sending string        // whose data the last line is about
	octets  int           // and how many
	full    chan struct{} // closed when the server's window is
	closed  sync.Once
	blind   atomic.Bool  // nothing gets through any more
	mtu     atomic.Int32 // larger packets don't, and their sender is told so; 0: all do
	told    atomic.Bool  // somebody was
}

const cableDelay = 10 * time.Millisecond

// ethernet is how long the header of a frame is.
const ethernet = 14

func newCable(t *testing.T) *cable {
	t.Helper()
	labtest.NeedPrograms(t, "ip", "ethtool")
	near, far := labtest.NewPair(t), labtest.NewPair(t)
	c := &cable{client: near.A, server: far.B}
	c.story(t, 0)
	middle := near.B
	run := func(at *lab.Host, command ...string) {
		t.Helper()
		if _, err := at.Run(command[0], command[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if err := middle.Do(func() error {
		path := fmt.Sprintf("/proc/%d/task/%d/ns/net", syscall.Getpid(), syscall.Gettid())
		_, err := far.A.Run("ip", "link", "set", "dev", lab.Interface, "netns", path, "name", "lab1")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	run(middle, "ip", "address", "flush", "dev", lab.Interface)
	run(middle, "ip", "address", "flush", "dev", "lab1")
	run(middle, "ip", "link", "set", "lab1", "up")
	for _, h := range []*lab.Host{c.client, c.server} { // frames as on a real cable
		if err := h.Offloads(false); err != nil {
			t.Fatal(err)
		}
	}
	var ends [2]*os.File
	if err := middle.Do(func() (err error) {
		for i, name := range []string{lab.Interface, "lab1"} {
			if ends[i], err = packetSocket(name); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for side, from := range ends {
		to := &lane{to: ends[1-side]}
		all.Go(func() { c.carry(fault.Side(side), from, to) })
	}
	t.Cleanup(func() {
		for _, f := range ends {
			f.Close()
		}
		all.Wait()
	})
	return c
}

// packetSocket takes the frames that arrive at an interface, whoever they are for.
func packetSocket(name string) (*os.File, error) {
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	i, err := net.InterfaceByName(name)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if err == nil {
		err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(i.Index), Type: unix.PACKET_MR_PROMISC})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index})
	}
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError(name, err)
	}
	return f, nil
}

// A lane sends frames in the order of their times.
type lane struct {
	to *os.File
	mu sync.Mutex
	q  []timedFrame
}

type timedFrame struct {
	due   time.Time
	frame []byte
}

func (l *lane) send(after time.Duration, frame []byte) {
	due := time.Now().Add(after)
	l.mu.Lock()
	defer l.mu.Unlock()
	i := len(l.q)
	for i > 0 && due.Before(l.q[i-1].due) {
		i--
	}
	l.q = slices.Insert(l.q, i, timedFrame{due, frame})
	time.AfterFunc(after, l.deliver)
}

func (l *lane) deliver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for len(l.q) > 0 && !now.Before(l.q[0].due) {
		l.to.Write(l.q[0].frame) // what does not fit is lost, as on any cable
		l.q = l.q[1:]
	}
}

func (c *cable) carry(side fault.Side, from *os.File, to *lane) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		frame := append([]byte(nil), buf[:n]...)
		fate := c.fate(side, frame)
		if fate.Drop {
			continue
		}
		if answer := c.tooBig(frame); answer != nil {
			from.Write(answer)
			continue
		}
		if fate.Corrupt {
			frame[len(frame)-1] ^= 1
		}
		for range 1 + fate.Copies {
			to.send(cableDelay+fate.Delay, frame)
		}
	}
}

// tooBig is what a router answers to a frame that is too large for the next link.
func (c *cable) tooBig(frame []byte) []byte {
	const quoted = 100
	mtu := int(c.mtu.Load())
	var p wire.Packet
	if mtu == 0 || len(frame) <= ethernet+mtu || wire.Parse(frame[ethernet:], &p) != nil {
		return nil
	}
	c.told.Store(true)
	header := slices.Concat(frame[6:12], frame[:6], frame[12:ethernet])
	return append(header, icmpError(p.Dst, p.Src, 2, uint16(mtu), frame[ethernet:][:quoted])...)
}

func (c *cable) fate(side fault.Side, frame []byte) (fate fault.Fate) {
	var p wire.Packet
	if len(frame) < ethernet || wire.Parse(frame[ethernet:], &p) != nil {
		return fate // a neighbour is asked for
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(p.SrcPort) != c.port && int(p.DstPort) != c.port {
		return fate
	}
	c.note(side, &p)
	fate = c.rules.Fate(side, &p.Segment, func() float64 { return 0 })
	fate.Drop = fate.Drop || c.blind.Load()
	return fate
}

// note logs what takes sequence space for the first time, and what resets. When it
// is sent again, how the data are cut and when they are acknowledged depends on
// the moment.
func (c *cable) note(side fault.Side, p *wire.Packet) {
	before := c.views[side].Next
	again := c.views[side].See(&p.Segment).Again
	control := p.Flags & (stack.SYN | stack.FIN | stack.RST)
	if side == fault.Server && p.Window == 0 && control == 0 {
		c.closed.Do(func() { close(c.full) })
	}
	if again || c.blind.Load() {
		return
	}
	arrow := [...]string{"→", "←"}[side]
	if len(p.Payload) > 0 { // with what never reached the cable, and comes again behind it
		n := p.Segment.Next().Sub(before)
		if control.Has(stack.FIN) {
			n--
		}
		if c.sending == arrow {
			n += c.octets
			c.log = c.log[:len(c.log)-1]
		}
		c.sending, c.octets = arrow, n
		c.log = append(c.log, fmt.Sprintf("%s %d octets", arrow, n))
	}
	if control == 0 {
		return
	}
	c.sending = ""
	line := arrow + " " + control.String()
	if control.Has(stack.SYN) {
		line = arrow + " " + (p.Flags & (stack.SYN | stack.ACK)).String() + options(&p.Options)
	}
	c.log = append(c.log, line)
}

// options names the options of a SYN.
func options(o *stack.Options) (names string) {
	for _, option := range []struct {
		name string
		has  bool
	}{{"MSS", o.MSS != 0}, {"SACK", o.SACKPermitted}, {"TS", o.HasTimestamps}, {"WS", o.HasWindowScale}} {
		if option.has {
			names += " " + option.name
		}
	}
	return names
}

// story is what has crossed since the story before, and begins a new one, of the
// connections to a port, under other rules.
func (c *cable) story(t testing.TB, port int, rules ...string) []string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	told := c.log
	c.port = port
	c.log, c.sending, c.views = nil, "", [2]fault.View{}
	c.full, c.closed = make(chan struct{}), sync.Once{}
	c.rules.Clear()
	for _, line := range rules {
		rule, err := fault.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		c.rules.Add(rule)
	}
	c.blind.Store(false)
	c.mtu.Store(0)
	c.told.Store(false)
	return told
}

// awaitEnd waits until both have sent a FIN, or one a RST, or nothing crosses any
// more.
func (c *cable) awaitEnd() {
	over := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		told := strings.Join(c.log, " ")
		return c.blind.Load() || strings.Contains(told, "RST") || strings.Count(told, "FIN") == 2
	}
	for start := time.Now(); !over() && time.Since(start) < 5*time.Second; {
		time.Sleep(time.Millisecond)
	}
}
