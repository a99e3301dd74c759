package main

import (
	"sync"
	"time"
)

// A backlog holds what is to be done, one thing after the other, behind the
// back of whoever asks for it. What it cannot keep up with is left out, and
// counted.
type backlog struct {
	mu      sync.Mutex
	more    sync.Cond
	queue   []func()
	queued  int // octets, in queue and at work
	atWork  int // octets of the batch
	dropped uint64
	closed  bool
	done    chan struct{}
}

// maxQueued bounds the octets that wait.
const maxQueued = 64 << 20

// gather is how long one batch follows the other at least. To be woken for every
// packet would cost as much as to send it.
const gather = time.Millisecond

// newBacklog starts to do what comes, in batches: work does one.
func newBacklog(work func([]func())) *backlog {
	b := &backlog{done: make(chan struct{})}
	b.more.L = &b.mu
	go func() {
		defer close(b.done)
		for batch := b.next(); batch != nil; batch = b.next() {
			work(batch)
			time.Sleep(gather)
		}
	}()
	return b
}

// later queues what is to be done, and takes so many octets until then.
func (b *backlog) later(octets int, do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queued+octets > maxQueued {
		b.dropped++
		return
	}
	b.queue = append(b.queue, do)
	b.queued += octets
	if len(b.queue) == 1 { // it may wait
		b.more.Signal()
	}
}

// next waits for a batch; nil is the end.
func (b *backlog) next() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queued -= b.atWork // the batch before is done
	for len(b.queue) == 0 && !b.closed {
		b.more.Wait()
	}
	batch := b.queue
	b.queue, b.atWork = nil, b.queued
	return batch
}

// close waits until all is done, and returns how much was left out.
func (b *backlog) close() uint64 {
	b.mu.Lock()
	b.closed = true
	b.more.Signal()
	b.mu.Unlock()
	<-b.done
	return b.dropped
}
