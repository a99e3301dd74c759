package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"rawnc/rawtcp"
	"rawnc/stack"
)

// A session is one connection between the input, the output and the peer.
type session struct {
	conn    *rawtcp.Conn
	options *options
	input   input
	out     *os.File
	log     *recorder
	signals *signals
	step    *stepper
	keep    bool // another connection will use input and out after this one

	// What is under way; each delivers its error at the end, and is nil
	// behind it.
	sending, receiving, closing <-chan error

	stopSending context.CancelFunc
	interrupted bool
}

// patience is how long the peer has to acknowledge the FIN, and to close its
// side too, where rawnc does not wait for it as long as it takes.
const patience = time.Second

// run has the conversation to its end, and leaves the connection closed.
func (s *session) run(converse func() error) error {
	defer context.AfterFunc(s.signals.ctx, s.step.stop)()
	err := converse()
	s.conn.Close()
	if !s.keep || s.interrupted {
		s.signals.end()
		s.step.stop()
	}
	if err != nil {
		s.step.blame()
	}
	switch state := s.conn.Snapshot().State; {
	case s.keep && (state == stack.StateTimeWait || state == stack.StateClosed):
		s.log.sumUp(s.conn)
	case state == stack.StateTimeWait:
		s.log.say("rawnc does not wait TIME-WAIT out: should the peer send its FIN again, the kernel will answer with RST. All data is acknowledged, so nothing is lost")
	}
	if s.interrupted {
		if err != nil {
			s.log.complain(err)
		}
		return s.signals.exit()
	}
	return err
}

// talk carries data both ways until both sides have closed, or something ends it
// earlier.
func (s *session) talk() error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s.stopSending = stop
	s.sending = async(func() error { return s.send(ctx) })
	s.receiving = async(s.receive)
	var delivered <-chan error
	var quit <-chan time.Time
	idle := newIdleness(s.conn, s.options.timeout)
	defer idle.stop()
	for {
		if s.sending == nil && s.receiving == nil && s.closing == nil {
			s.conn.Close()
			s.closing = async(func() error { return s.conn.Wait(context.Background()) })
		}
		select {
		case err := <-s.sending:
			s.sending = nil
			if err == nil {
				err = s.conn.CloseWrite()
			}
			// Receiving, if it goes on, meets the same error, but behind the
			// data that came before it.
			if err != nil && s.receiving == nil && !s.interrupted {
				return explainEnd(err)
			}
			if err == nil && s.options.linger >= 0 {
				delivered = async(func() error { return s.conn.Drain(ctx) })
			}
		case err := <-s.receiving:
			s.receiving = nil
			if err != nil {
				return s.cannotReceive(err)
			}
			s.peerClosed()
		case err := <-s.closing:
			return explainEnd(err)
		case <-delivered:
			delivered, quit = nil, time.After(s.options.linger)
		case <-quit:
			s.log.say("standard input ended %v ago (-q): rawnc closes", s.options.linger)
			return s.leave()
		case <-idle.ticks:
			if s.step.waits() {
				idle.still = 0
			} else if idle.over() {
				s.log.say("nothing has moved for %v (-w): rawnc closes", s.options.timeout)
				return s.leave()
			}
		case sig := <-s.signals.more:
			if done, err := s.signal(sig); done {
				return err
			}
		}
	}
}

// async runs f and returns where its error will come.
func async(f func() error) <-chan error {
	end := make(chan error, 1)
	go func() { end <- f() }()
	return end
}

// send sends the input to its end.
func (s *session) send(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case piece, more := <-s.input.pieces:
			if !more {
				return nil
			}
			if ctx.Err() != nil { // select does not say which was first
				s.input.taken <- 0
				return nil
			}
			n, err := s.conn.Write(piece)
			s.input.taken <- n
			if err != nil {
				return err
			}
			if s.options.sends != nil && !s.options.noWait {
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
			if _, err := s.out.Write(buf[:n]); err != nil {
				return &outputError{err}
			}
		}
		if err == io.EOF && s.keep {
			return nil
		}
		if err == io.EOF { // whoever reads the output learns of the end
			if err := s.out.Close(); err != nil {
				return &outputError{err}
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

func (s *session) cannotReceive(err error) error {
	var out *outputError
	if !errors.As(err, &out) {
		return explainEnd(err)
	}
	s.log.say("rawnc closes: what it receives cannot be written any more")
	if err := s.leave(); err != nil {
		s.log.complain(err)
	}
	if errors.Is(out.error, syscall.EPIPE) {
		return errors.New("nobody reads the output any more: the rest of what the peer sent is lost")
	}
	return fmt.Errorf("what is received cannot be written: %w: the rest of what the peer sent is lost", out.error)
}

// peerClosed: the peer's FIN has come.
func (s *session) peerClosed() {
	switch {
	case s.sending == nil || s.interrupted:
	case s.input.pieces == nil:
		s.log.say("the peer has closed; with -d there is nothing to send, so rawnc closes too")
		s.stopSending()
	case s.keep:
		s.log.say("the peer has closed; with -k rawnc closes too, and waits for the next")
		s.stopSending()
	default:
		s.log.say("the peer has closed and sends no more. You may still send: rawnc closes when standard input ends (Ctrl+D)")
	}
}

// signal does what a signal wants, and reports whether that is the end.
func (s *session) signal(sig os.Signal) (done bool, err error) {
	first := !s.interrupted
	s.interrupted = true
	switch {
	case sig != os.Interrupt:
		s.log.say("%s: the connection is closed with FIN", signalName(sig))
		return true, s.leave()
	case !first:
		s.log.say("Ctrl+C again: the connection is ended with RST")
		s.conn.Abort()
		return true, nil
	case s.sending == nil:
		s.log.say("Ctrl+C: our FIN has been sent, the peer's has not come; Ctrl+C once more ends the connection with RST")
	default:
		s.log.say("Ctrl+C: the connection is closed with FIN, and rawnc waits for the peer's; Ctrl+C once more ends it with RST")
		s.stopSending()
		s.conn.CloseWrite() // now, though a Write may be waiting for the peer's window
	}
	return false, nil
}

// leave closes the connection as nc does by ending: without waiting until the
// peer closes its side, though it has a moment to.
func (s *session) leave() error {
	s.conn.Close()
	ctx, cancel := s.patient()
	defer cancel()
	err := s.conn.Wait(ctx)
	switch now := s.conn.Snapshot(); {
	case err == nil:
		return nil
	case ctx.Err() == nil && errors.Is(err, stack.ErrAborted):
		return nil // there was unread data; the log shows the RST
	case ctx.Err() == nil:
		return explainEnd(err)
	case now.State == stack.StateFinWait2:
		s.log.say("the peer has acknowledged everything but keeps its side open: rawnc leaves, and the kernel will answer with RST what it still sends")
		return nil
	case now.SendQueue > 0:
		s.conn.Abort()
		return fmt.Errorf("the peer has not acknowledged %d of the bytes that were sent to it: it or the network is gone, or it does not read; the connection is ended with RST", now.SendQueue)
	default:
		s.conn.Abort()
		return errors.New("the peer does not acknowledge our FIN: it or the network is gone; the connection is ended with RST")
	}
}

// patient returns a context that ends when patience does, which has not begun
// while a person is asked.
func (s *session) patient() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for waits := true; waits && ctx.Err() == nil; waits = s.step.waits() {
			select {
			case <-ctx.Done():
			case <-time.After(patience):
			}
		}
		cancel()
	}()
	return ctx, cancel
}
