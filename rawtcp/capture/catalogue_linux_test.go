package capture_test

import (
	"path/filepath"
	"testing"

	"golang.org/x/text/language"

	"rawnc/pcapout/reference"
)

// The catalogue of rawnc demo, explained from its captures alone.
func TestAgreesWithWiresharkOnTheCatalogue(t *testing.T) {
	dir := t.TempDir()
	if err := reference.WriteAll(dir, reference.Seed, language.English); err != nil {
		t.Fatal(err)
	}
	for _, group := range reference.Catalogue() {
		for _, name := range group.Names {
			if name == "completeness-syn-fin" { // it says itself where tshark differs
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				agrees(t, filepath.Join(dir, name+".pcapng"))
			})
		}
	}
}
