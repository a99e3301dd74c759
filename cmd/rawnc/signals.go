package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
)

// signals turns SIGINT and SIGTERM into what the program waits for.
type signals struct {
	ctx  context.Context // ends with the first signal
	more chan os.Signal  // every signal, as it comes
	stop func()
}

func catchSignals(parent context.Context) *signals {
	ctx, cancel := context.WithCancelCause(parent)
	caught := make(chan os.Signal, 4)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM)
	s := &signals{ctx: ctx, more: make(chan os.Signal, 4)}
	s.stop = func() {
		signal.Stop(caught)
		cancel(nil)
	}
	go func() {
		for {
			select {
			case sig := <-caught:
				if sig == os.Interrupt {
					cancel(errInterrupted)
				} else {
					cancel(errTerminated)
				}
				s.more <- sig
			case <-parent.Done():
				return
			}
		}
	}()
	return s
}

// exit is the exit code of the first signal.
func (s *signals) exit() error {
	if errors.Is(context.Cause(s.ctx), errTerminated) {
		return exitCode(exitTerminated)
	}
	return exitCode(exitInterrupted)
}
