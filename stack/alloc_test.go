package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// a pipe carries segments both ways, without loss, in no time.
type pipe struct {
	t    testing.TB
	now  time.Time
	ends [2]*stack.Conn
}

func newPipe(t testing.TB) *pipe {
	p := &pipe{t: t, now: time.Unix(1e9, 0)}
	var pool stack.Pool
	for i := range p.ends {
		p.ends[i] = stack.New(stack.Config{Pool: &pool, NoDelay: true})
	}
	p.ends[0].Open(p.now, 1000, 80)
	p.ends[1].Listen(80)
	p.run()
	if s := p.ends[1].State(); s != stack.StateEstablished {
		t.Fatalf("the server is in %v", s)
	}
	return p
}

// run carries segments until nobody has one to send.
func (p *pipe) run() (segments int) {
	for quiet := false; !quiet; {
		quiet = true
		for i, c := range p.ends {
			var seg stack.Segment
			for {
				p.now = p.now.Add(time.Microsecond)
				if _, ok := c.Next(p.now, &seg); !ok {
					break
				}
				p.ends[1-i].Receive(p.now, &seg)
				quiet = false
				segments++
			}
		}
	}
	return segments
}

// transfer moves the octets of b from one end to the other.
func (p *pipe) transfer(from int, b, to []byte) (segments int) {
	for sent, got := 0, 0; got < len(b); {
		n, err := p.ends[from].Write(p.now, b[sent:])
		sent += n
		segments += p.run()
		m, err2 := p.ends[1-from].Read(p.now, to)
		got += m
		segments += p.run()
		if err != nil || err2 != nil || n+m == 0 {
			p.t.Fatalf("%d of %d octets: %v, %v", got, len(b), err, err2)
		}
	}
	return segments
}

// Where nobody watches, a transfer allocates nothing: not for a segment sent,
// not for one received, not for an ACK.
func TestTransferAllocatesNothing(t *testing.T) {
	p := newPipe(t)
	b, to := make([]byte, 1<<20), make([]byte, 1<<16)
	for from := range p.ends {
		p.transfer(from, b, to) // the windows open, the buffers grow
		if allocs := testing.AllocsPerRun(10, func() { p.transfer(from, b, to) }); allocs != 0 {
			t.Errorf("from end %d: a transfer allocates %v times", from, allocs)
		}
	}
}

// BenchmarkTransfer is both ends of a transfer, without a link between them.
func BenchmarkTransfer(b *testing.B) {
	p := newPipe(b)
	data, to := make([]byte, 1<<20), make([]byte, 1<<16)
	segments := 0
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		segments += p.transfer(0, data, to)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(segments), "ns/segment")
}
