package main

import (
	"fmt"

	"rawnc/rawtcp"
)

// links are what --link can choose.
var links = map[string]func() (rawtcp.Link, error){"raw": rawtcp.RawLink, "packet": rawtcp.PacketLink}

func checkLink(name string) error {
	if links[name] == nil {
		return fmt.Errorf("--link %q: the links are raw and packet", name)
	}
	return nil
}

// host is a host on the link of --link, with faults in it, of which the recorder
// tells, or nil, which is the usual one.
func (o *options) host(list faults, r *recorder) (*rawtcp.Host, error) {
	if o.link == "raw" && list == nil {
		return nil, nil
	}
	link, err := links[o.link]()
	if err != nil {
		return nil, err
	}
	if list != nil {
		link = withFaults(link, list, r)
	}
	return rawtcp.NewHost(link), nil
}
