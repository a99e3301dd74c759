package rawtcp

import (
	"net"
	"sync"
)

// A queue holds packets that wait for ReadBatch, in memory.
type queue struct {
	packets chan []byte
	spare   chan []byte // where packets stood that have been read
	woken   chan struct{}
	ended   chan struct{}
	once    sync.Once
	err     error // why it ended
}

func newQueue(size int) *queue {
	return &queue{packets: make(chan []byte, size), spare: make(chan []byte, size), woken: make(chan struct{}, 1), ended: make(chan struct{})}
}

// ReadBatch is that of a Link.
func (q *queue) ReadBatch(bufs [][]byte) (int, error) {
	if err := q.ending(); err != nil { // even where packets wait
		return 0, err
	}
	n := 0
	take := func(pkt []byte) {
		buf := bufs[n][:cap(bufs[n])]
		bufs[n] = buf[:copy(buf, pkt)]
		n++
		select {
		case q.spare <- pkt:
		default:
		}
	}
	select {
	case pkt := <-q.packets:
		take(pkt)
	case <-q.woken:
	case <-q.ended:
		return 0, q.err
	}
	for n < len(bufs) {
		select {
		case pkt := <-q.packets:
			take(pkt)
		default:
			return n, nil
		}
	}
	return n, nil
}

// packet makes a packet to put into the queue.
func (q *queue) packet(header, payload []byte) []byte {
	var b []byte
	select {
	case b = <-q.spare:
	default:
	}
	return append(append(b[:0], header...), payload...)
}

// Wake is that of a Link.
func (q *queue) Wake() {
	select {
	case q.woken <- struct{}{}:
	default:
	}
}

// end makes ReadBatch return err from now on.
func (q *queue) end(err error) {
	q.once.Do(func() {
		q.err = err
		close(q.ended)
	})
}

// ending is the error that the queue ended with; nil while it lasts.
func (q *queue) ending() error {
	select {
	case <-q.ended:
		return q.err
	default:
		return nil
	}
}

// Close ends the queue as that of a Link.
func (q *queue) Close() error {
	q.end(net.ErrClosed)
	return nil
}
