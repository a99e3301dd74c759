//go:build linux

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The demo needs neither root nor a network.
func TestDemo(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/demo"})
}
