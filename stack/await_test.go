package stack_test

import (
	"testing"

	"rawnc/stack"
)

// What arrives goes where a Read waits for it, as far as it is next and there is
// room, and is read the same, there or elsewhere, in one piece or not.
func TestAwait(t *testing.T) {
	type arrival struct {
		at int
		s  string
	}
	type read struct {
		n         int
		elsewhere bool
		want      string
	}
	for _, tt := range []struct {
		name   string
		arrive []arrival
		there  string // in the awaited memory before any Read
		reads  []read
	}{
		{"at once", []arrival{{1, "hello"}}, "hello...", []read{{8, false, "hello"}}},
		{"one after the other", []arrival{{1, "hel"}, {4, "lo"}}, "hello...", []read{{8, false, "hello"}}},
		{"more than is awaited", []arrival{{1, "hello "}, {7, "world"}}, "hello wo", []read{{8, false, "hello wo"}, {8, false, "rld"}}},
		{"a hole", []arrival{{1, "hel"}, {5, "o"}, {4, "l"}, {6, "!"}}, "hel.....", []read{{8, false, "hello!"}}},
		{"read elsewhere", []arrival{{1, "hello world"}}, "hello wo", []read{{8, true, "hello wo"}, {8, false, "rld"}}},
		{"read in part", []arrival{{1, "hello world"}}, "hello wo", []read{{2, false, "he"}, {8, false, "llo worl"}, {8, true, "d"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := established(t, stack.Config{})
			awaited := []byte("........")
			d.c.Await(awaited)
			for _, a := range tt.arrive {
				d.arrive("ACK", seq(a.at), ack(1), text(a.s))
			}
			d.same("awaited", string(awaited), tt.there)
			for _, r := range tt.reads {
				b := awaited
				if r.elsewhere {
					b = make([]byte, 8)
				}
				n, err := d.c.Read(d.now, b[:r.n])
				d.ok(err)
				d.same("read", string(b[:n]), r.want)
			}
			d.same("left", d.c.Snapshot().ReceiveQueue, 0)
		})
	}
}

// Nothing is written any more into memory that was taken back, or was read into.
func TestAwaitNoLonger(t *testing.T) {
	d := established(t, stack.Config{})
	awaited := []byte("........")
	d.c.Await(awaited)
	d.arrive("ACK", seq(1), ack(1), text("one"))
	d.c.Await(nil)
	d.arrive("ACK", seq(4), ack(1), text("two"))
	d.same("awaited", string(awaited), "one.....")
	d.read(10, "onetwo")
	d.c.Await(awaited)
	d.arrive("ACK", seq(7), ack(1), text("three"))
	n, err := d.c.Read(d.now, awaited)
	d.ok(err)
	d.same("read", string(awaited[:n]), "three")
	d.arrive("ACK", seq(12), ack(1), text("four"))
	d.same("awaited", string(awaited), "three...")
	d.read(10, "four")
}
