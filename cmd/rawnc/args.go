package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// arrange puts the arguments into the order that the flag parser wants: the
// command, the flags, the rest, and chooses the language. nc's users type flags
// before and behind HOST and PORT, run short ones together (-nv), join a value to
// its flag (-w5), and name no command.
func arrange(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	program, args := args[0], args[1:]
	var global []string // --lang may stand before the command
	switch {
	case strings.HasPrefix(args[0], "--lang="):
		global, args = args[:1], args[1:]
	case args[0] == "--lang" && len(args) > 1:
		global, args = args[:2], args[2:]
	}
	switch { // "help 80" is a host's port
	case len(args) == 1 && args[0] == "help":
		args = []string{"--help"}
	case len(args) > 1 && args[0] == "help" && app.Command(args[1]) != nil:
		args = []string{args[1], "--help"}
	}
	first := ""
	if len(args) > 0 {
		first = args[0]
	}
	command := app.Command(first)
	named := command != nil
	if named {
		args = args[1:]
	} else {
		command = app.Command("connect") // as nc
	}
	args = slices.Concat(global, args)
	flags, words, err := split(app, command, args)
	if !named && has(flags, "-l") { // as nc, too
		command = app.Command("listen")
		flags, words, err = split(app, command, args)
	}
	err = cmp.Or(err, chooseLanguage(flags))
	switch {
	case slices.Contains([]string{"-h", "--help", "--version"}, first):
		return []string{program, first}, nil
	case err != nil:
		return nil, err
	case first == "" && len(words) == 0:
		return []string{program}, nil
	case has(flags, "-h", "--help"): // whatever else there is
		return []string{program, command.Name, "--help"}, nil
	case !named && command.Name == "connect" && len(words) == 1 && words[0] == first:
		return nil, fmt.Errorf("no command %s: connect, listen, explain, demo", first)
	}
	return slices.Concat([]string{program, command.Name}, slices.Concat(flags...), []string{"--"}, words), nil
}

// has reports whether one of the flags has one of the names.
func has(flags [][]string, names ...string) bool {
	return slices.ContainsFunc(flags, func(f []string) bool { return slices.Contains(names, f[0]) })
}

// split parts the flags, each with its value, from the other arguments, to the end,
// and returns the first error.
func split(app *cli.App, command *cli.Command, args []string) (flags [][]string, words []string, err error) {
	fail := func(format string, a ...any) { err = cmp.Or(err, fmt.Errorf(format, a...)) }
	takesValue := func(name string) bool {
		takes, wrong := takesValue(app, command, name)
		err = cmp.Or(err, wrong)
		return takes
	}
	add := func(flag ...string) { flags = append(flags, flag) }
	// next adds a flag that has no value joined to it.
	next := func(name string) {
		if len(args) == 0 {
			fail("%s needs a value: see rawnc %s --help", name, command.Name)
			return
		}
		if args[0] == "" && name != "--send" {
			fail("the value of %s is empty", name)
		}
		add(name, args[0])
		args = args[1:]
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return flags, append(words, args...), err
		case len(arg) < 2 || arg[0] != '-':
			words = append(words, arg)
		case strings.HasPrefix(arg, "--"):
			name, value, joined := strings.Cut(arg, "=")
			switch takes := takesValue(name); {
			case takes && !joined:
				next(name)
			case takes && value == "" && name != "--send":
				fail("%s= needs a value behind the =", name)
			case takes:
				add(name, value)
			case joined:
				fail("%s takes no value", name)
			default:
				add(name)
			}
		default:
			for i, letter := range arg[1:] {
				name := "-" + string(letter)
				if !takesValue(name) {
					add(name)
					continue
				}
				if value := arg[1+i+utf8.RuneLen(letter):]; value != "" {
					add(name, value)
				} else {
					next(name)
				}
				break
			}
		}
	}
	return flags, words, err
}

// takesValue reports whether a flag, with its dashes, has a value behind it. The
// error says that it does not go with the command.
func takesValue(app *cli.App, command *cli.Command, name string) (bool, error) {
	if name == "-h" || name == "--help" {
		return false, nil
	}
	if f := flagOf(command, name); f != nil {
		return !isBool(f), nil
	}
	for _, other := range app.Commands {
		if f := flagOf(other, name); f != nil {
			return !isBool(f), fmt.Errorf("%s goes with rawnc %s, not with rawnc %s", name, other.Name, command.Name)
		}
	}
	if name == "-u" || name == "-U" {
		return false, fmt.Errorf("%s: rawnc speaks TCP alone; for UDP or Unix sockets use nc", name)
	}
	return false, fmt.Errorf("there is no flag %s: see rawnc %s --help", name, command.Name)
}

func isBool(f cli.Flag) bool {
	_, ok := f.(*cli.BoolFlag)
	return ok
}

func flagOf(command *cli.Command, name string) cli.Flag {
	for _, f := range command.Flags {
		for _, known := range f.Names() {
			if dashed(known) == name {
				return f
			}
		}
	}
	return nil
}

// dashed is a flag's name as it is typed.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
