package main

import "testing"

// A change of the code that moves what a mutation replaces takes the mutation along.
func TestMutationsApply(t *testing.T) {
	t.Chdir("../..")
	for _, m := range parse(data) {
		if _, err := m.apply(); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}
