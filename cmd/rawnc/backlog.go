package main

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// A backlog holds what is to be told, one thing after the other, behind the
// back of whoever has it told. Most of it are packets, which wait as octets, in
// chunks: nothing is allocated for each. Where many wait, and there is a spool,
// chunks go to the disk. What finds no room is left out, and counted.
type backlog struct {
	spool *spool // nil: there is none

	mu      sync.Mutex
	more    sync.Cond // for work
	crowded sync.Cond // for spill
	chunks  []*chunk  // that wait; the last may grow
	free    [][]byte  // memory of chunks that are done
	queued  int       // octets in memory, waiting and at work
	waiting int       // octets that wait, in memory and on the disk
	dropped uint64
	alone   bool // the disk has failed
	closed  bool
	done    chan struct{}
}

const (
	// maxQueued bounds the octets that wait in memory, and from spillAt on they go
	// to the disk.
	maxQueued = 64 << 20
	spillAt   = maxQueued / 2
	// chunkSize is little enough for the processor's cache.
	chunkSize = 256 << 10
	maxFree   = 8 // chunks
)

// gather is how long one batch follows the other at least, where there is
// little to do. To be woken for every packet would cost as much as to send it.
const gather = time.Millisecond

// A chunk is some of what waits. Its octets are records, each behind its length;
// one of length 0 stands for the next of do.
type chunk struct {
	octets  []byte // nil: in the spool
	do      []func()
	kept    int // octets that do takes
	size    int // of the octets, here or in the spool
	packets int // records that are no do
	slot    int // in the spool

	spilling bool // on its way there
	taken    bool // meanwhile
}

// recordHeader is the length of a record.
const recordHeader = 4

// newBacklog starts to work on what comes, a chunk at a time. The spool may be nil.
func newBacklog(s *spool, work func(*chunk)) *backlog {
	b := &backlog{spool: s, done: make(chan struct{})}
	b.more.L, b.crowded.L = &b.mu, &b.mu
	go func() {
		defer close(b.done)
		for c := b.next(nil); c != nil; c = b.next(c) {
			work(c)
			if c.size < chunkSize/2 {
				time.Sleep(gather)
			}
		}
	}()
	if s != nil {
		go b.spill()
	}
	return b
}

// later queues what is to be done, and takes so many octets until then.
func (b *backlog) later(octets int, do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.room(octets, recordHeader); c != nil {
		c.octets = append(c.octets, make([]byte, recordHeader)...)
		c.do = append(c.do, do)
		c.kept += octets
		b.count(c)
	}
}

// put queues octets, at most so many and less than a chunk, which add appends.
func (b *backlog) put(most int, add func([]byte) []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.room(0, recordHeader+most); c != nil {
		start := len(c.octets)
		c.packets++
		c.octets = add(append(c.octets, make([]byte, recordHeader)...))
		binary.NativeEndian.PutUint32(c.octets[start:], uint32(len(c.octets)-start-recordHeader))
		b.count(c)
	}
}

// room finds a chunk with room for octets, or drops what was to have it: but not
// what takes nothing but its header, for somebody may wait until that is done.
func (b *backlog) room(kept, octets int) *chunk {
	if b.queued+kept+octets > maxQueued && kept+octets > recordHeader {
		b.dropped++
		return nil
	}
	b.queued += kept
	b.waiting += kept
	if n := len(b.chunks); n > 0 && len(b.chunks[n-1].octets)+octets <= cap(b.chunks[n-1].octets) {
		return b.chunks[n-1]
	}
	b.chunks = append(b.chunks, &chunk{octets: b.memory()})
	if len(b.chunks) == 1 {
		b.more.Signal() // it may wait
	}
	return b.chunks[len(b.chunks)-1]
}

// count counts what a chunk has got.
func (b *backlog) count(c *chunk) {
	n := len(c.octets) - c.size
	c.size += n
	b.queued += n
	b.waiting += n
	if b.spool != nil && b.queued > spillAt {
		b.crowded.Signal()
	}
}

// next gives back the chunk before, and waits for one; nil is the end.
func (b *backlog) next(before *chunk) *chunk {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before != nil {
		b.queued -= before.kept + before.size
		if !before.spilling {
			b.reuse(before.octets)
		}
	}
	for len(b.chunks) == 0 && !b.closed {
		b.more.Wait()
	}
	if len(b.chunks) == 0 {
		return nil
	}
	c := b.chunks[0]
	b.chunks[0] = nil
	b.chunks = b.chunks[1:]
	b.waiting -= c.kept + c.size
	c.taken = true
	if c.octets != nil {
		return c
	}
	b.queued += c.size
	octets := b.memory()[:c.size]
	b.mu.Unlock()
	err := b.spool.read(octets, c.slot)
	b.mu.Lock()
	b.spool.release(c.slot)
	if c.octets = octets; err != nil {
		b.failed(err)
		b.dropped += uint64(c.packets)
		c.octets = octets[:0]
	}
	return c
}

// spill takes chunks to the disk while many wait: the newest, for those have the
// longest to wait.
func (b *backlog) spill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed {
		c := b.newest()
		if c == nil || b.queued <= spillAt {
			b.crowded.Wait()
			continue
		}
		c.spilling, c.slot = true, b.spool.slot()
		b.mu.Unlock()
		err := b.spool.write(c.octets, c.slot)
		b.mu.Lock()
		c.spilling = false
		switch {
		case err != nil:
			b.failed(err)
			return
		case c.taken:
			b.spool.release(c.slot)
		default:
			b.reuse(c.octets)
			c.octets = nil
			b.queued -= c.size
		}
	}
}

// newest is the last chunk that does not grow any more and is in memory.
func (b *backlog) newest() *chunk {
	for i := len(b.chunks) - 2; i >= 0; i-- {
		if c := b.chunks[i]; c.octets != nil {
			return c
		}
	}
	return nil
}

// failed says, once, that there is no more help from the disk. It has the lock, and
// so does not wait for the terminal.
func (b *backlog) failed(err error) {
	if !b.alone {
		b.alone = true
		go report(fmt.Errorf("packets that wait for the capture cannot be kept on the disk: %w", err))
	}
}

// memory has room for a chunk.
func (b *backlog) memory() []byte {
	n := len(b.free)
	if n == 0 {
		return make([]byte, 0, chunkSize)
	}
	octets := b.free[n-1]
	b.free = b.free[:n-1]
	return octets
}

func (b *backlog) reuse(octets []byte) {
	if len(b.free) < maxFree && cap(octets) == chunkSize {
		b.free = append(b.free, octets[:0])
	}
}

// each goes through a chunk.
func (c *chunk) each(tell func(record []byte)) {
	do := c.do
	for b := c.octets; len(b) > 0; {
		n := int(binary.NativeEndian.Uint32(b))
		b = b[recordHeader:]
		if n == 0 {
			do[0]()
			do = do[1:]
			continue
		}
		tell(b[:n])
		b = b[n:]
	}
	for _, do := range do { // what came with it is lost
		do()
	}
}

// end says that nothing more comes. When all is done, done is closed.
func (b *backlog) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.more.Signal()
	b.crowded.Signal()
}

// left is how many octets wait.
func (b *backlog) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// close waits until all is done, and returns how much was left out.
func (b *backlog) close() uint64 {
	b.end()
	<-b.done
	return b.missing()
}

// missing is how much was left out so far.
func (b *backlog) missing() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
