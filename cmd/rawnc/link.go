package main

import (
	"fmt"

	"rawnc/rawtcp"
	"rawnc/stack/fault"
)

// links are what --link can choose.
var links = map[string]func() (rawtcp.Link, error){"raw": rawtcp.RawLink, "packet": rawtcp.PacketLink}

func checkLink(name string) error {
	if links[name] == nil {
		return fmt.Errorf("--link %q: the links are raw and packet", name)
	}
	return nil
}

// host is a host on the link of --link, with faults in it, or nil, which is the
// usual one.
func (o *options) host(list faults) (*rawtcp.Host, error) {
	if o.link == "raw" && list == nil {
		return nil, nil
	}
	link, err := links[o.link]()
	if err != nil {
		return nil, err
	}
	if list != nil {
		var rules fault.Rules
		for _, r := range list {
			rules.Add(r)
		}
		both := rawtcp.Faults{Seed: 1, Rules: &rules}
		link = rawtcp.WithFaults(link, both, both)
	}
	return rawtcp.NewHost(link), nil
}
