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

// WriteAll writes every capture of the catalogue into a directory, with an index
// page.
func WriteAll(dir string, seed uint64, lang language.Tag) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var index strings.Builder
	say := words.In(lang)
	fmt.Fprintf(&index, "# %s\n\n%s\n", say.Text("Reference captures of TCP"),
		say.Text("Made by `rawnc demo --all`. Every packet has a comment, which Wireshark shows."))
	for _, g := range Catalogue() {
		fmt.Fprintf(&index, "\n## %s\n", say.Text(g.Title))
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
			index.WriteString(entry(name, s, len(capture.Records), say))
		}
	}
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(index.String()), 0o666)
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

// entry is a scenario in the index.
func entry(name string, s *script.Script, packets int, say *words.Language) string {
	lang := say.Tag.String()
	where := map[netsim.Point]string{
		netsim.AtA: say.Text("the client"), netsim.AtB: say.Text("the server"), netsim.Middle: say.Text("the middle"),
	}[s.Capture]
	return fmt.Sprintf("\n### %s\n\n[%s.pcapng](%s.pcapng): %s\n\n%s\n",
		s.Title.In(lang), name, name, say.Sprintf("%d packets, captured at %s", packets, where), s.About.In(lang))
}
