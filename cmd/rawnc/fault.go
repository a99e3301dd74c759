package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"rawnc/stack/fault"
)

// faults are the rules of --fault.
type faults []*fault.Rule

func readFaults(c *cli.Context) (faults, error) {
	var list faults
	for _, text := range c.StringSlice("fault") {
		rule, err := fault.Parse(text)
		if err == nil && rule.Simulated {
			err = errors.New("an ICMP error comes from a router, and so can only be simulated: see rawnc demo")
		}
		if err != nil {
			return nil, fmt.Errorf("--fault %q: %w", text, err)
		}
		list = append(list, rule)
	}
	return list, nil
}
