package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/text/language"

	"rawnc/stack/explain/words"
)

// lang is the language that the program speaks.
var lang = words.English

func langFlag() cli.Flag {
	return stringFlag("lang", "speak English or Chinese: `en|zh`; without it, as the locale says")
}

// chooseLanguage sets the language that --lang names.
func chooseLanguage(flags [][]string) error {
	for _, f := range flags {
		if f[0] != "--lang" {
			continue
		}
		switch name := f[1]; name {
		case "en":
			lang = words.English
		case "zh":
			lang = words.Chinese
		default:
			return fmt.Errorf("--lang %q: the languages are en and zh", name)
		}
	}
	return nil
}

// localeLanguage is the language of the locale (POSIX, section 8.2: the first of
// these variables that is set counts). A terminal without Unicode has English.
func localeLanguage() *words.Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := os.Getenv(name); locale != "" && unicodeTerminal() {
			locale, _, _ = strings.Cut(locale, ".")
			return words.In(language.Make(locale))
		}
	}
	return words.English
}

// translate puts the help into the language.
func translate(app *cli.App) {
	if lang == words.English {
		return
	}
	own := headings()
	cli.AppHelpTemplate = own.Replace(cli.AppHelpTemplate)
	cli.CommandHelpTemplate = own.Replace(cli.CommandHelpTemplate)
	cli.SubcommandHelpTemplate = own.Replace(cli.SubcommandHelpTemplate) // of commands without any, too
	flagText := cli.FlagStringer
	cli.FlagStringer = func(f cli.Flag) string { return own.Replace(flagText(f)) }

	app.Usage = lang.Text(app.Usage)
	lines := strings.Split(app.UsageText, "\n")
	for i, line := range lines {
		lines[i] = lang.Text(line)
	}
	app.UsageText = strings.Join(lines, "\n")
	translateFlags(append(app.Flags, cli.HelpFlag, cli.VersionFlag))
	for _, c := range app.Commands {
		c.Usage, c.Description = lang.Text(c.Usage), lang.Text(c.Description)
		c.UsageText = strings.Join([]string{app.Name, c.Name, lang.Text("[command options]"), c.ArgsUsage}, " ")
		translateFlags(c.Flags)
	}
}

// headings replaces what package cli says itself.
func headings() *strings.Replacer {
	var pairs []string
	for _, english := range []string{
		"NAME:", "USAGE:", "VERSION:", "DESCRIPTION:", "COMMANDS:", "GLOBAL OPTIONS:", "OPTIONS:", "(default:",
	} {
		pairs = append(pairs, english, lang.Text(english))
	}
	return strings.NewReplacer(pairs...)
}

func translateFlags(flags []cli.Flag) {
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.BoolFlag:
			f.Usage = lang.Text(f.Usage)
		case *cli.StringFlag:
			f.Usage = lang.Text(f.Usage)
		case *cli.StringSliceFlag:
			f.Usage = lang.Text(f.Usage)
		}
	}
}
