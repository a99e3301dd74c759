//go:build linux

package main

import (
	"fmt"
	"os"
	"testing"
)

// heldUp is a backlog whose work waits for a word before each chunk.
func heldUp(s *spool, tell func([]byte)) (b *backlog, goOn chan bool) {
	goOn = make(chan bool)
	return newBacklog(s, func(c *chunk) {
		<-goOn
		c.each(tell)
	}), goOn
}

// What waits in memory has a bound, and what is being done counts.
func TestBacklogHasABound(t *testing.T) {
	told := 0
	b, goOn := heldUp(nil, func(record []byte) { told++ })
	const piece = maxQueued / 128
	for range 200 {
		b.put(piece, func(b []byte) []byte { return append(b, make([]byte, piece)...) })
	}
	close(goOn)
	if dropped := b.close(); told < 120 || told > 128 || int(dropped) != 200-told {
		t.Errorf("%d were told, and %d dropped", told, dropped)
	}
}

// With a spool nothing is missing, everything comes in order, and the file goes
// with its directory.
func TestBacklogSpills(t *testing.T) {
	dir := t.TempDir()
	var got []string
	s := &spool{dir: dir}
	b, goOn := heldUp(s, func(record []byte) { got = append(got, string(record[:8])) })
	var want []string
	var done []int
	const piece = chunkSize/4 - 100
	for i := range 4 * 3 * maxQueued / chunkSize {
		name := fmt.Sprintf("%8d", i)
		want = append(want, name)
		b.put(piece, func(b []byte) []byte { return append(append(b, name...), make([]byte, piece-8)...) })
		if i%100 == 50 {
			b.later(1000, func() { done = append(done, len(got)) })
		}
		waitFor(t, b, func() bool { return b.queued <= maxQueued-chunkSize })
	}
	if b.queued > maxQueued || s.used == 0 {
		t.Errorf("%d octets in memory, %d chunks on the disk", b.queued, s.used)
	}
	close(goOn)
	if dropped := b.close(); dropped != 0 {
		t.Errorf("%d were dropped", dropped)
	}
	if len(got) != len(want) {
		t.Fatalf("%d records of %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("record %d is %s", i, got[i])
		}
	}
	for i, at := range done {
		if at != 100*i+51 {
			t.Errorf("done behind %d records, want %d", at, 100*i+51)
		}
	}
	waitFor(t, b, func() bool { return len(s.free) == s.used })
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// waitFor lets the backlog write what it wants to.
func waitFor(t *testing.T, b *backlog, is func() bool) {
	t.Helper()
	eventually(t, "the backlog writes nothing", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return is()
	})
}
