package main

import (
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
		switch name {
		case "--help", "-h", "help", "--version":
			return args, nil
		}
		// As nc: without a command, connect; with -l, listen.
		name, rest = "connect", args[1:]
		if flags, _, err := split(app.Command("listen"), rest); err == nil && contains(flags, "-l") {
			name = "listen"
		}
		command = app.Command(name)
	}
	flags, words, err := split(command, rest)
	if err != nil {
		return nil, err
	}
	out := append([]string{args[0], name}, flags...)
	return append(append(out, "--"), words...), nil
}

func contains(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// split parts the flags, each with its value, from the other arguments.
func split(command *cli.Command, args []string) (flags, words []string, err error) {
	takesValue := map[string]bool{"help": false, "h": false}
	for _, f := range command.Flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, name := range f.Names() {
			takesValue[name] = !isBool
		}
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		value := func(name string) error {
			if len(args) == 0 {
				return usage("%s needs a value: see rawnc %s --help", name, command.Name)
			}
			flags = append(flags, args[0])
			args = args[1:]
			return nil
		}
		switch {
		case arg == "--":
			return flags, append(words, args...), nil
		case len(arg) < 2 || arg[0] != '-':
			words = append(words, arg)
		case strings.HasPrefix(arg, "--"):
			name, _, joined := strings.Cut(arg[2:], "=")
			takes, known := takesValue[name]
			if !known {
				return nil, nil, unknownFlag(command, "--"+name)
			}
			flags = append(flags, arg)
			if takes && !joined {
				if err := value(arg); err != nil {
					return nil, nil, err
				}
			}
		default:
			for i, r := range arg[1:] {
				name := string(r)
				takes, known := takesValue[name]
				if !known {
					return nil, nil, unknownFlag(command, "-"+name)
				}
				flags = append(flags, "-"+name)
				if !takes {
					continue
				}
				if joined := arg[1+i+utf8.RuneLen(r):]; joined != "" {
					flags = append(flags, joined)
				} else if err := value("-" + name); err != nil {
					return nil, nil, err
				}
				break
			}
		}
	}
	return flags, words, nil
}

func unknownFlag(command *cli.Command, name string) error {
	if name == "-u" || name == "-U" {
		return usage("%s: rawnc speaks TCP alone; for UDP or Unix sockets use nc", name)
	}
	return usage("there is no flag %s: see rawnc %s --help", name, command.Name)
}
