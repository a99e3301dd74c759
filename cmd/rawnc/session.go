package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"rawnc/rawtcp"
)

// A session is one connection between the input, the output and the peer.
type session struct {
	conn    *rawtcp.Conn
	options *options
	input   *input
	out     *os.File
	keep    bool // out serves the next connection too
	signals *signals

	active atomic.Int64 // when something last moved, in Unix nanoseconds
}

// errStopped ends the sending for a reason that has been dealt with.
var errStopped = errors.New("stopped")

// run carries data both ways until both sides have closed, or something ends it
// earlier. It leaves the connection closed.
func (s *session) run() error {
	s.touch()
	if s.options.scan {
		return s.finish()
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	sent, received := make(chan error, 1), make(chan error, 1)
	go func() { sent <- s.send(ctx) }()
	go func() { received <- s.receive() }()

	var quit, idle <-chan time.Time
	if s.options.timeout > 0 {
		idle = time.After(s.options.timeout)
	}
	interrupts := 0
	for sent != nil || received != nil {
		select {
		case err := <-sent:
			sent = nil
			switch {
			case err == nil:
				if err := s.conn.CloseWrite(); err != nil {
					return s.broken(err)
				}
				if s.options.linger >= 0 && received != nil {
					quit = time.After(s.options.linger)
				}
			case !errors.Is(err, errStopped) && interrupts == 0:
				return s.broken(err)
			}
		case err := <-received:
			received = nil
			switch {
			case err != nil:
				return s.broken(err)
			case sent == nil:
			case s.input.none:
				s.say("the peer has closed; with -d there is nothing to send, so rawnc closes too")
				stop()
			case interrupts == 0:
				s.say("the peer has closed its side and sends no more; you may still send: end with Ctrl+D")
			}
		case sig := <-s.signals.more:
			if interrupts++; interrupts > 1 || sig == syscall.SIGTERM {
				s.reset("%v: the connection is ended with RST", signalName(sig))
				return s.signals.exit()
			}
			s.say("%v: the connection is closed with FIN; once more ends it with RST", signalName(sig))
			stop()
			s.conn.CloseWrite()
		case <-quit:
			s.reset("standard input ended %v ago (-q): the connection is ended with RST", s.options.linger)
			return nil
		case <-idle:
			if rest := s.options.timeout - time.Since(time.Unix(0, s.active.Load())); rest > 0 {
				idle = time.After(rest)
				continue
			}
			s.reset("nothing moved for %v (-w): the connection is ended with RST", s.options.timeout)
			return nil
		}
	}
	if err := s.finish(); err != nil {
		return err
	}
	if interrupts > 0 {
		return s.signals.exit()
	}
	return nil
}

func signalName(sig os.Signal) string {
	if sig == os.Interrupt {
		return "Ctrl+C"
	}
	return sig.String()
}

// send sends the input to its end.
func (s *session) send(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			if s.input.none {
				return nil
			}
			return errStopped
		case piece, ok := <-s.input.pieces:
			if !ok {
				return nil
			}
			if _, err := s.conn.Write(piece); err != nil {
				return err
			}
			s.touch()
			if len(s.options.sends) > 0 && !s.options.noWait {
				if err := s.conn.Drain(ctx); err != nil && ctx.Err() == nil {
					return err
				}
			}
		}
	}
}

// receive writes what arrives to the output, until the peer has closed.
func (s *session) receive() error {
	buf := make([]byte, 256<<10)
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			s.touch()
			if _, err := s.out.Write(buf[:n]); err != nil {
				return &outputError{err}
			}
		}
		if err == io.EOF {
			if !s.keep {
				s.out.Close() // whoever reads it learns of the end
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// outputError says that what was received could not be written.
type outputError struct{ error }

func (s *session) touch() { s.active.Store(time.Now().UnixNano()) }

// finish closes the connection and waits until its FIN is acknowledged.
func (s *session) finish() error {
	s.conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if s.options.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, s.options.timeout)
		defer cancel()
	}
	done := make(chan error, 1)
	go func() { done <- s.conn.Wait(ctx) }()
	select {
	case err := <-done:
		if ctx.Err() != nil {
			s.reset("the peer did not close within %v (-w): the connection is ended with RST", s.options.timeout)
			return nil
		}
		if err != nil {
			return explainEnd(err)
		}
		return nil
	case sig := <-s.signals.more:
		s.reset("%v: the connection is ended with RST", signalName(sig))
		return s.signals.exit()
	}
}

// broken ends the connection after an error.
func (s *session) broken(err error) error {
	var out *outputError
	if errors.As(err, &out) {
		s.conn.Close()
		return fmt.Errorf("what is received cannot be written: %w", out.error)
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	s.conn.Close()
	return explainEnd(err)
}

// reset ends the connection with a RST and says why.
func (s *session) reset(format string, args ...any) {
	s.say(format, args...)
	s.conn.Abort()
}

// say tells what rawnc did, to the eyes that read the log.
func (s *session) say(format string, args ...any) {
	if !s.options.quiet && !s.options.json {
		fmt.Fprintf(os.Stderr, "rawnc: "+format+"\n", args...)
	}
}
