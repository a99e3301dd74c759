// Rawnc is the netcat that does TCP itself and shows its work.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

func main() {
	app := newApp()
	args, err := arrange(app, os.Args)
	if err == nil {
		err = app.RunContext(context.Background(), args)
	}
	os.Exit(report(err))
}

func newApp() *cli.App {
	return &cli.App{
		Name:                   "rawnc",
		Usage:                  "the netcat that does TCP itself and shows its work",
		Version:                version(),
		UseShortOptionHandling: true,
		HideHelpCommand:        true,
		Commands:               []*cli.Command{connectCommand(), listenCommand()},
		CommandNotFound: func(_ *cli.Context, name string) {
			fmt.Fprintf(os.Stderr, "rawnc: there is no command %q: see rawnc --help\n", name)
		},
		// What is wrong with a flag is said once, by report.
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usage("%v", err) },
		ExitErrHandler: func(*cli.Context, error) {
		},
	}
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitInterrupted = 130
	exitTerminated  = 143
)

// errSilent fails without a further word: it has been said.
var errSilent = errors.New("failed")

// exitCode ends the program with a code and, where it has a message, an error.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// report prints an error and returns the exit code.
func report(err error) int {
	var code exitCode
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case !errors.Is(err, errSilent):
		fmt.Fprintln(os.Stderr, "rawnc:", err)
	}
	return exitFailed
}

// usage is an error in how the program was called.
func usage(format string, args ...any) error { return fmt.Errorf(format, args...) }
