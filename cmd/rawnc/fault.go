package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"rawnc/rawtcp"
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

// host is a host on this machine's raw sockets whose link has the faults, or
// nil, which is the usual one, if there are none.
func (list faults) host() (*rawtcp.Host, error) {
	if list == nil {
		return nil, nil
	}
	link, err := rawtcp.RawLink()
	if err != nil {
		return nil, err
	}
	var rules fault.Rules
	for _, r := range list {
		rules.Add(r)
	}
	both := rawtcp.Faults{Seed: 1, Rules: &rules}
	return rawtcp.NewHost(rawtcp.WithFaults(link, both, both)), nil
}
