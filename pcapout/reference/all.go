package reference

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/text/language"

	"rawnc/pcapout"
	"rawnc/stack/explain/words"
	"rawnc/stack/netsim"
	"rawnc/stack/netsim/script"
)

// Meta describes the capture of a scenario. It is the same on every machine.
func Meta(name string) pcapout.Meta {
	return pcapout.Meta{CommandLine: "rawnc demo " + name, Version: "rawnc", Interface: "simulated"}
}

// Seed is the seed of the catalogue.
const Seed = 1

// WriteAll writes every capture of the catalogue into a directory, explained in
// one language, with an index page in each.
func WriteAll(dir string, seed uint64, lang language.Tag) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	indexes := []*index{{name: "README.md", say: words.English}, {name: "README.zh.md", say: words.Chinese}}
	for _, x := range indexes {
		fmt.Fprintf(x, "# %s\n\n%s\n", x.say.Text("Reference captures of TCP"),
			x.say.Text("Made by `rawnc demo --all`. Every packet has a comment, which Wireshark shows."))
	}
	for _, g := range Catalogue() {
		for _, x := range indexes {
			fmt.Fprintf(x, "\n## %s\n", x.say.Text(g.Title))
		}
		for _, name := range g.Names {
			s, err := Load(name)
			if err != nil {
				return err
			}
			run, err := s.Run(seed)
			if err != nil {
				return err
			}
			capture, err := Take(run, s.Capture, lang)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if err := writeFile(filepath.Join(dir, name+".pcapng"), name, capture); err != nil {
				return err
			}
			for _, x := range indexes {
				x.add(name, s, len(capture.Records))
			}
		}
	}
	for _, x := range indexes {
		if err := os.WriteFile(filepath.Join(dir, x.name), []byte(x.String()), 0o666); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path, name string, c *Capture) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = c.Write(f, pcapout.PCAPNG, Meta(name))
	if end := f.Close(); err == nil {
		err = end
	}
	return err
}

// An index is the page that lists the captures, in a language.
type index struct {
	strings.Builder
	name string
	say  *words.Language
}

// add lists the capture of a scenario.
func (x *index) add(name string, s *script.Script, packets int) {
	lang := x.say.Tag.String()
	where := map[netsim.Point]string{
		netsim.AtA: x.say.Text("the client"), netsim.AtB: x.say.Text("the server"), netsim.Middle: x.say.Text("the middle"),
	}[s.Capture]
	fmt.Fprintf(x, "\n### %s\n\n[%s.pcapng](%s.pcapng): %s\n\n%s\n",
		s.Title.In(lang), name, name, x.say.Sprintf("%d packets, captured at %s", packets, where), s.About.In(lang))
}
