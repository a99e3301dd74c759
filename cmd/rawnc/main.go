// Rawnc is the netcat that does TCP itself and shows its work.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/urfave/cli/v2"
)

func main() {
	// Whoever reads our output may go; a failing write tells of it.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(report(run(os.Args)))
}

func run(args []string) error {
	lang = localeLanguage()
	app := newApp()
	args, err := arrange(app, args)
	if err != nil {
		return err
	}
	translate(app)
	return app.Run(args)
}

func newApp() *cli.App {
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help", DisableDefaultText: true}
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	return &cli.App{
		Name:                      "rawnc",
		Usage:                     "the netcat that does TCP itself and shows its work",
		UsageText:                 "rawnc COMMAND [flags] ...\nrawnc [flags] HOST PORT    as nc: connects; with -l and PORT, listens",
		Version:                   version(),
		HideHelpCommand:           true,
		Flags:                     []cli.Flag{langFlag()},
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
	fmt.Fprintln(os.Stderr, "rawnc:", printable(lang.Error(err)))
	return exitFailed
}

// printable writes out what a terminal would obey: an error quotes what was
// typed, and what a network said.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if quoted := strconv.QuoteRune(r); r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
