// Command bench does the same work with rawnc, the kernel's TCP, OpenBSD's nc
// and gVisor's netstack, in turn, and prints how they compare. It is a module of
// its own, so that none of this is among the dependencies of who uses rawnc.
//
// It runs as root, between two network namespaces of its own, which have no
// name: they are gone when it is, however it ends.
//
//	make bench
//	go run . -sets mtu -jobs up -only kernel,raw
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) > 1 && os.Args[1] == "client":
		err = client(os.Args[2:])
	default:
		err = compare()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	rounds      int
	size        int64  // octets of a transfer
	rawnc       string // the program
	profile     string
	jobs, names []string // nil: all
}

func compare() error {
	var s settings
	sets := flag.String("sets", "default,mtu,gro,lo,lat,many", "which sets")
	jobs := flag.String("jobs", "", "which jobs of theirs: up, down, pp, conn1, conn64 (default all)")
	only := flag.String("only", "", "which contenders, the first is what the others are held against (default all)")
	flag.IntVar(&s.rounds, "rounds", 7, "how often each does each job")
	flag.Int64Var(&s.size, "size", 512<<20, "octets of a transfer")
	flag.StringVar(&s.rawnc, "rawnc", "../../rawnc", "the program, where it takes part")
	flag.StringVar(&s.profile, "profile", "", "write CPU profiles of those that are in Go, to this directory")
	into := flag.String("into", "", "put the tables into this file, between its two comments, not on standard output")
	flag.Parse()
	if *jobs != "" {
		s.jobs = strings.Split(*jobs, ",")
	}
	if *only != "" {
		s.names = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var all []comparison
	for name := range strings.SplitSeq(*sets, ",") {
		set, ok := allSets[name]
		if !ok {
			return fmt.Errorf("there is no set %q", name)
		}
		done, err := set.run(ctx, &s)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, done...)
	}
	text := report(all)
	if *into == "" {
		fmt.Print(text)
		return nil
	}
	old, err := os.ReadFile(*into)
	if err != nil {
		return err
	}
	between := regexp.MustCompile(`(?s)(<!-- make bench -->\n).*(<!-- end of make bench -->\n)`)
	if !between.Match(old) {
		return fmt.Errorf("%s has no place for the tables", *into)
	}
	return os.WriteFile(*into, between.ReplaceAll(old, []byte("${1}\n"+text+"\n${2}")), 0o644)
}
