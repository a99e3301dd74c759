// Rawnc is the netcat that does TCP itself and shows its work.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v2"
)

func main() {
	// Whoever reads our output may go; a failing write tells of it.
	signal.Ignore(syscall.SIGPIPE)
	app := newApp()
	args, err := arrange(app, os.Args)
	if err == nil {
		err = app.Run(args)
	}
	os.Exit(report(err))
}

func newApp() *cli.App {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	return &cli.App{
		Name:                      "rawnc",
		Usage:                     "the netcat that does TCP itself and shows its work",
		UsageText:                 "rawnc COMMAND [flags] ...\nrawnc [flags] HOST PORT    as nc: connects; with -l and PORT, listens",
		Version:                   version(),
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true, // --send a,b is one text
		Commands:                  []*cli.Command{connectCommand(), listenCommand(), explainCommand(), demoCommand()},
		ExitErrHandler:            func(*cli.Context, error) {}, // report does it
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

const exitFailed = 1

// exitCode ends the program with a code; what there was to say has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// report prints an error and returns the exit code: 0 for done, 1 for failed,
// and 128 and its number, as shells have it, for the signal that ended it.
func report(err error) int {
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(os.Stderr, "rawnc:", err)
	return exitFailed
}
