package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
)

// server runs one handler for each connection to a listener.
type server struct {
	listener net.Listener
	handle   func(net.Conn)
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once closed
}

func newServer(listener net.Listener, handle func(net.Conn)) *server {
	s := &server{listener: listener, handle: handle, conns: map[net.Conn]bool{}}
	s.running.Go(s.accept)
	return s
}

func (s *server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil {
			c.Close()
		} else {
			s.conns[c] = true
			s.running.Go(func() {
				s.handle(c)
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			})
		}
		s.mu.Unlock()
	}
}

// close ends the listener and all connections, and waits for the handlers.
func (s *server) close() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.running.Wait()
}

// handler is what the server does with a connection in a mode.
func handler(mode Mode, received func(line []byte)) (func(net.Conn), error) {
	switch mode {
	case Sink:
		var mu sync.Mutex
		return func(c net.Conn) {
			sink(c, func(line []byte) {
				mu.Lock()
				defer mu.Unlock()
				received(line)
			})
		}, nil
	case Echo:
		return func(c net.Conn) { io.Copy(c, c) }, nil
	case Chat:
		return chat, nil
	}
	return nil, fmt.Errorf("no server mode %q: it can be %s, %s or %s", mode, Sink, Echo, Chat)
}

func sink(c net.Conn, received func(line []byte)) {
	in := bufio.NewReaderSize(c, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		more := err == nil || err == bufio.ErrBufferFull
		if !more {
			// Before received takes its time: within the kernel's delayed ACK,
			// so that ACK and FIN are one segment.
			c.Close()
		}
		if len(line) > 0 {
			received(line)
		}
		if !more {
			return
		}
	}
}

func chat(c net.Conn) {
	fmt.Fprintf(c, "hello %v, say something\n", c.RemoteAddr())
	in := bufio.NewReaderSize(c, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			fmt.Fprintf(c, "you said: %s\n", bytes.TrimRight(line, "\r\n"))
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}
