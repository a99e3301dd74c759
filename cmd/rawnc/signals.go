package main

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// signals are those that end the program.
type signals struct {
	last func()          // before they end it at once
	ctx  context.Context // ends with the first
	more chan os.Signal  // each, as it comes
	over atomic.Bool     // another ends the program at once
}

func catchSignals(last func()) *signals {
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &signals{last: last, ctx: ctx, more: make(chan os.Signal, 2)}
	caught := make(chan os.Signal, 4)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) { // as nohup and a shell's & want it
			signal.Notify(caught, sig)
		}
	}
	go func() {
		for sig := range caught {
			cancel(exitCode(128 + int(sig.(syscall.Signal))))
			if s.over.Load() || len(s.more) == cap(s.more) {
				s.last()
				os.Exit(report(s.exit()))
			}
			s.more <- sig
		}
	}()
	return s
}

// end says that there is nothing left to end but the program, which may be held
// up for long: by a pipe that nobody reads, for one.
func (s *signals) end() { s.over.Store(true) }

// exit is the exit code of the first signal.
func (s *signals) exit() error { return context.Cause(s.ctx) }

// signalName is what a user calls a signal.
func signalName(sig os.Signal) string {
	if sig == os.Interrupt {
		return "Ctrl+C"
	}
	return lang.Text(sig.String())
}
