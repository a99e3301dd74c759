package reference

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/text/language"

	"rawnc/pcapout"
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
	index.WriteString("# Reference captures of TCP\n\nMade by `rawnc demo --all`. Every packet has a comment, which Wireshark shows.\n")
	for _, g := range Catalogue() {
		fmt.Fprintf(&index, "\n## %s\n", g.Title)
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
			index.WriteString(entry(name, s, len(capture.Records), lang))
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
func entry(name string, s *script.Script, packets int, lang language.Tag) string {
	base, _ := lang.Base()
	where := map[netsim.Point]string{netsim.AtA: "the client", netsim.AtB: "the server", netsim.Middle: "the middle"}[s.Capture]
	return fmt.Sprintf("\n### %s\n\n[%s.pcapng](%s.pcapng): %d packets, captured at %s\n\n%s\n",
		s.Title.In(base.String()), name, name, packets, where, s.About.In(base.String()))
}
