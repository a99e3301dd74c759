package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// arrange puts the arguments into the order that the flag parser wants: the
// command, the flags, the rest. nc's users type flags before and behind HOST
// and PORT, run short ones together (-nv), join a value to its flag (-w5), and
// name no command.
func arrange(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	name, rest := args[1], args[2:]
	command := app.Command(name)
	if command == nil {
		switch { // "help 80" is a host's port
		case name == "help" && len(rest) == 0:
			return []string{args[0], "--help"}, nil
		case name == "help" && app.Command(rest[0]) != nil:
			return []string{args[0], rest[0], "--help"}, nil
		}
		if slices.Contains([]string{"-h", "--help", "--version"}, name) {
			return args, nil
		}
		// As nc: without a command, connect; with -l, listen.
		rest = args[1:]
		command = app.Command("listen")
		flags, _, err := split(app, command, rest)
		if err != nil || !slices.ContainsFunc(flags, func(f []string) bool { return f[0] == "-l" }) {
			command = app.Command("connect")
		}
	}
	flags, words, err := split(app, command, rest)
	if err != nil {
		return nil, err
	}
	for _, f := range flags {
		if f[0] == "-h" || f[0] == "--help" { // whatever else there is
			return []string{args[0], command.Name, "--help"}, nil
		}
	}
	if app.Command(name) == nil && command.Name == "connect" && len(words) == 1 && words[0] == name {
		return nil, fmt.Errorf("no command %s: connect, listen, explain, demo", name)
	}
	return slices.Concat([]string{args[0], command.Name}, slices.Concat(flags...), []string{"--"}, words), nil
}

// split parts the flags, each with its value, from the other arguments.
func split(app *cli.App, command *cli.Command, args []string) (flags [][]string, words []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		// next is the value of a flag that has none joined to it.
		next := func(name string) (string, error) {
			if len(args) == 0 {
				return "", fmt.Errorf("%s needs a value: see rawnc %s --help", name, command.Name)
			}
			value := args[0]
			args = args[1:]
			if value == "" && name != "--send" {
				return "", fmt.Errorf("the value of %s is empty", name)
			}
			return value, nil
		}
		switch {
		case arg == "--":
			return flags, append(words, args...), nil
		case len(arg) < 2 || arg[0] != '-':
			words = append(words, arg)
		case strings.HasPrefix(arg, "--"):
			name, value, joined := strings.Cut(arg, "=")
			takes, err := takesValue(app, command, name)
			switch {
			case err == nil && joined && !takes:
				err = fmt.Errorf("%s takes no value", name)
			case err == nil && !joined && takes:
				value, err = next(name)
			case joined && value == "" && name != "--send":
				err = fmt.Errorf("%s= needs a value behind the =", name)
			}
			if err != nil {
				return nil, nil, err
			}
			flags = append(flags, []string{name})
			if takes {
				flags[len(flags)-1] = []string{name, value}
			}
		default:
			for i, letter := range arg[1:] {
				name := "-" + string(letter)
				takes, err := takesValue(app, command, name)
				if err != nil {
					return nil, nil, err
				}
				if !takes {
					flags = append(flags, []string{name})
					continue
				}
				value := arg[1+i+utf8.RuneLen(letter):]
				if value == "" {
					if value, err = next(name); err != nil {
						return nil, nil, err
					}
				}
				flags = append(flags, []string{name, value})
				break
			}
		}
	}
	return flags, words, nil
}

// takesValue reports whether a flag, with its dashes, has a value behind it.
func takesValue(app *cli.App, command *cli.Command, name string) (bool, error) {
	if name == "-h" || name == "--help" {
		return false, nil
	}
	if f := flagOf(command, name); f != nil {
		_, isBool := f.(*cli.BoolFlag)
		return !isBool, nil
	}
	for _, other := range app.Commands {
		if flagOf(other, name) != nil {
			return false, fmt.Errorf("%s goes with rawnc %s, not with rawnc %s", name, other.Name, command.Name)
		}
	}
	if name == "-u" || name == "-U" {
		return false, fmt.Errorf("%s: rawnc speaks TCP alone; for UDP or Unix sockets use nc", name)
	}
	return false, fmt.Errorf("there is no flag %s: see rawnc %s --help", name, command.Name)
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
